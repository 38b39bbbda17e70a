"""Preprocessing: the record, and the same numbers as torchvision's transforms."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from tests.data.images import encoded, memory, photo, tree
from verydeep.data import folder
from verydeep.data.decode import decode
from verydeep.data.geometry import MAX_ASPECT, rescale, rescaled_size
from verydeep.data.measure import color_components, measure
from verydeep.data.preprocess import apply, fit, fit_batch, normalise
from verydeep.data.split import FileSplit, take
from verydeep.errors import ConfigError, DataError
from verydeep.preprocessing import Preprocessing, from_json

IMAGENET = Preprocessing(
    channels=3,
    size=(32, 32),
    resize=40,
    crop="center",
    mean=(123.68, 116.779, 103.939),
    std=(58.4, 57.1, 57.4),
    color="RGB",
)


def torchvision_transform(preprocessing):
    return v2.Compose(
        [
            v2.Resize(preprocessing.resize, antialias=True),
            v2.CenterCrop(preprocessing.size),
            v2.PILToTensor(),
            v2.ToDtype(torch.float32),
            v2.Normalize(preprocessing.mean, preprocessing.std),
        ]
    )


@pytest.mark.parametrize("shape", [(40, 56), (57, 41), (33, 100), (128, 90), (40, 40), (35, 77), (301, 200)])
def test_one_image_gets_the_numbers_of_torchvision(shape):
    image = photo(*shape)
    ours = apply(image, IMAGENET)
    theirs = torchvision_transform(IMAGENET)(Image.fromarray(image))
    assert ours.shape == theirs.shape == (3, 32, 32)
    assert (ours - theirs).abs().max() * 58.4 <= 1


def test_real_photographs_get_the_numbers_of_torchvision(shared_data):
    preprocessing = replace(IMAGENET, size=(224, 224), resize=256)
    for path in sorted((shared_data / "photos-100").glob("*/*.JPEG"))[::10]:
        ours = apply(decode(path, channels=3), preprocessing)
        with Image.open(path) as picture:
            theirs = torchvision_transform(preprocessing)(picture.convert("RGB"))
        assert (ours - theirs).abs().max() * 58.4 <= 1


def test_bgr_turns_the_channels_and_takes_mean_in_that_order():
    bgr = replace(IMAGENET, color="BGR", mean=IMAGENET.mean[::-1], std=IMAGENET.std[::-1])
    assert torch.equal(apply(photo(), bgr), apply(photo(), IMAGENET).flip(0))


def test_the_papers_preprocessing_only_subtracts_the_mean():
    only_mean = replace(IMAGENET, resize=None, size=(40, 56), std=(1.0, 1.0, 1.0))
    expected = photo().transpose(2, 0, 1) - np.array(IMAGENET.mean, np.float32)[:, None, None]
    assert np.abs(apply(photo(), only_mean).numpy() - expected).max() == 0


def test_without_a_crop_the_whole_image_is_fed():
    whole = replace(IMAGENET, crop="none")
    assert apply(photo(60, 90), whole).shape == (3, 40, 60)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (20_000, 20), (31, 33), (32, 32), (5, 32)])
@pytest.mark.parametrize("resize", [None, 32, 40])
def test_any_shape_gives_a_valid_crop(shape, resize):
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    assert apply(image, replace(IMAGENET, resize=resize)).shape == (3, 32, 32)


def test_an_image_smaller_than_the_crop_is_made_just_large_enough():
    assert rescaled_size(10, 16, smallest=None, cover=(32, 32)) == (32, 51)
    assert rescaled_size(10, 16, smallest=20, cover=(32, 32)) == (32, 51)
    assert rescaled_size(10, 16, smallest=20, cover=(20, 32)) == (20, 32)
    assert rescaled_size(100, 160, smallest=None, cover=(32, 32)) == (100, 160)


def test_the_ends_of_a_very_long_image_are_cut_off_before_the_rescale():
    strip = np.zeros((2, 1000, 1), np.uint8)
    strip[:, 480:520] = 255
    assert (rescale(strip, smallest=32, cover=(32, 32)) == 255).all()
    assert rescale(strip, smallest=32, cover=(32, 32)).shape == (32, 32 * MAX_ASPECT, 1)


def test_an_image_at_its_own_size_is_not_touched():
    image = photo(32, 32)
    assert rescale(image, smallest=32, cover=(32, 32)) is image


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("crop", ["center", "none"])
@pytest.mark.parametrize("resize", [None, 12, 9, 17])
def test_a_batch_from_memory_has_the_pixels_of_single_images(channels, crop, resize):
    color = {1: "grey", 3: "RGB"}[channels]
    numbers = (1.0,) * channels
    preprocessing = Preprocessing(channels, (9, 8), resize, crop, numbers, numbers, color)
    images = memory(channels=channels).images
    batch = fit_batch(images, preprocessing)
    single = [fit(image.transpose(1, 2, 0), preprocessing).transpose(2, 0, 1) for image in images]
    assert (batch == np.stack(single)).all()


def test_a_decoded_image_of_the_wrong_kind_is_refused():
    for image in (photo(channels=1), photo().astype(np.float32), photo()[:, :, 0]):
        with pytest.raises(DataError, match="uint8"):
            apply(image, IMAGENET)


def test_the_record_survives_json_exactly():
    for record in (IMAGENET, replace(IMAGENET, resize=None, crop="none", mean=(0.1, 1 / 3, 200.0))):
        assert from_json(json.loads(json.dumps(record.to_json()))) == record


WRONG = [
    {"flip": True},
    {"size": [32]},
    {"size": "32"},
    {"size": [32.0, 32]},
    {"resize": 0},
    {"resize": "big"},
    {"resize": True},
    {"crop": "middle"},
    {"crop": ["center"]},
    {"color": "HSV"},
    {"color": "grey"},
    {"channels": 1},
    {"channels": True},
    {"interpolation": "nearest"},
    {"mean": [1.0]},
    {"mean": [1.0, 2.0, "x"]},
    {"mean": [float("nan"), 0.0, 0.0]},
    {"std": [0.0, 1.0, 1.0]},
    {"std": None},
]


@pytest.mark.parametrize("change", WRONG, ids=str)
def test_a_wrong_entry_in_the_record_is_refused(change):
    with pytest.raises(ConfigError, match="preprocessing") as caught:
        from_json(IMAGENET.to_json() | change)
    assert caught.value.code == "PREPROCESS-INVALID"


@pytest.mark.parametrize("value", [None, [], "text", {}, {"channels": 3}])
def test_what_is_not_the_whole_record_is_refused(value):
    with pytest.raises(ConfigError, match="preprocessing"):
        from_json(value)


def test_mean_and_deviation_in_memory_are_exact():
    split = memory(n=2_345, channels=3)
    mean, std = measure(split)
    assert mean == pytest.approx(split.images.mean((0, 2, 3)), rel=1e-12)
    assert std == pytest.approx(split.images.std((0, 2, 3)), rel=1e-9)


def test_a_channel_that_never_varies_has_deviation_1():
    split = memory()
    split.images[:] = 7
    assert measure(split) == ((7.0,), (1.0,))


def test_files_are_measured_with_equal_weight_whatever_their_size(tmp_path):
    (tmp_path / "a").mkdir()
    for name, side, value in (("0", 4, 0), ("1", 100, 200)):
        Image.new("RGB", (side, side), (value, value, value)).save(tmp_path / "a" / f"{name}.png")
    mean, std = measure(folder.load(split="train", root=tmp_path, download=False))
    assert mean == (100.0,) * 3 and std == pytest.approx((100.0,) * 3)


def test_large_file_sets_are_sampled_evenly_and_always_alike(tmp_path, monkeypatch):
    monkeypatch.setattr("verydeep.data.measure.MAX_FILES", 4)
    split = folder.load(split="train", root=tree(tmp_path, ["a", "b"], images=5), download=False)
    assert measure(split) == measure(split) == measure(take(split, [0, 2, 5, 7]))


def test_an_empty_split_cannot_be_measured():
    with pytest.raises(DataError, match="no image to measure"):
        measure(take(memory(), []))


def test_a_bad_file_met_while_measuring_is_named(tmp_path):
    (tmp_path / "bad.png").write_bytes(b"x")
    split = FileSplit("x", ("a",), np.array([0]), (str(tmp_path / "bad.png"),))
    with pytest.raises(DataError, match=r"bad\.png"):
        measure(split)


@pytest.mark.parametrize("seed", range(6))
def test_color_components_are_those_of_the_pixel_covariance(seed):
    split = memory(n=300, channels=3, seed=seed)
    split.images[:, seed % 3] = split.images[:, (seed + 1) % 3] // 2
    values, vectors = color_components(split)
    pixels = split.images.transpose(1, 0, 2, 3).reshape(3, -1).astype(np.float64)
    covariance = np.cov(pixels, bias=True)
    assert values == tuple(sorted(values, reverse=True))
    for value, vector in zip(values, vectors, strict=True):
        assert covariance @ vector == pytest.approx(value * np.array(vector), abs=1e-6 * values[0])
        assert np.linalg.norm(vector) == pytest.approx(1)
        assert sum(vector) >= 0


def test_a_shift_is_added_in_rgb_order_before_the_mean():
    images = memory(n=4, channels=3).images
    shift = np.array([[1.5, -2.0, 0.25]] * 4)
    shifted = normalise(images, IMAGENET, shift=shift)
    expected = (images + shift[:, :, None, None] - np.array(IMAGENET.mean)[:, None, None]) / np.array(IMAGENET.std)[
        :, None, None
    ]
    assert np.abs(shifted.numpy() - expected).max() < 1e-6
    bgr = replace(IMAGENET, color="BGR", mean=IMAGENET.mean[::-1], std=IMAGENET.std[::-1])
    assert torch.equal(normalise(images, bgr, shift=shift), shifted.flip(1))


def test_the_decoder_and_the_record_together_read_a_grey_file():
    grey = Preprocessing(1, (8, 8), 8, "center", (0.0,), (1.0,), "grey")
    ramp = np.arange(64, dtype=np.uint8).reshape(8, 8)
    file = encoded(Image.fromarray(ramp), "PNG")
    assert (apply(decode(file, channels=1), grey)[0].numpy() == ramp).all()
