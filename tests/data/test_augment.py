"""Augmentation: each change does what it says, alike for one image and for a batch."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.data.images import memory, photo
from verydeep.data.augment import (
    COLOR,
    DRAWS,
    FLIP,
    LEFT,
    SCALE,
    TOP,
    Augment,
    augment_batch,
    augment_image,
    color_shift,
    draws,
    padded,
    with_components,
)
from verydeep.data.geometry import resize
from verydeep.data.measure import color_components
from verydeep.data.preprocess import apply, normalise
from verydeep.errors import ConfigError
from verydeep.preprocessing import Preprocessing

PLAIN = Augment(crop="center", flip=False)
NATIVE = Preprocessing(3, (12, 12), None, "center", (0.0,) * 3, (1.0,) * 3, "RGB")


def draw(**chosen):
    """One row of draws: 0.5 everywhere (the middle, not mirrored) except where chosen."""
    row = np.full(DRAWS, 0.5)
    for name, value in chosen.items():
        row[{"scale": SCALE, "top": TOP, "left": LEFT, "flip": FLIP}[name]] = value
    return row


def changed(image, augment, row, preprocessing=NATIVE):
    return augment_image(image, augment=augment, preprocessing=preprocessing, draw=row)


def test_without_changes_the_image_is_as_in_testing():
    image = photo(12, 12)
    assert (changed(image, PLAIN, draw()) == image).all()


def test_a_flip_mirrors_left_and_right_below_one_half():
    image = photo(12, 12)
    flip = replace(PLAIN, flip=True)
    assert (changed(image, flip, draw(flip=0.49)) == image[:, ::-1]).all()
    assert (changed(image, flip, draw(flip=0.5)) == image).all()
    assert (changed(image, PLAIN, draw(flip=0.1)) == image).all()


@pytest.mark.parametrize(
    ("top", "left", "row", "column"), [(0, 0, 0, 0), (0.9999, 0, 8, 0), (0, 0.9999, 0, 5), (0.5, 0.5, 4, 3)]
)
def test_a_random_crop_reaches_every_corner(top, left, row, column):
    image = photo(20, 17)
    window = changed(image, replace(PLAIN, crop="random"), draw(top=top, left=left))
    assert (window == image[row : row + 12, column : column + 12]).all()


def test_a_random_crop_takes_every_place_equally_often():
    image = np.arange(16, dtype=np.uint8)[None, :, None].repeat(12, 0).repeat(3, 2)
    augment = replace(PLAIN, crop="random")
    rows = draws(0, epoch=0, indices=np.arange(3_000), count=DRAWS)
    lefts = [int(changed(image, augment, row)[0, 0, 0]) for row in rows]
    assert np.abs(np.bincount(lefts, minlength=5) / 3_000 - 0.2).max() < 0.03


def test_padding_is_black_and_moves_the_image():
    image = photo(12, 12) // 2 + 100
    window = changed(image, replace(PLAIN, crop="random", pad=2), draw(top=0, left=0.9999))
    assert (window[:2] == 0).all() and (window[:, -2:] == 0).all()
    assert (window[2:, :-2] == image[:10, 2:]).all()


@pytest.mark.parametrize(("value", "side"), [(0.0, 16), (0.9999, 20), (0.5, 18)])
def test_the_scale_is_drawn_from_the_whole_range(value, side):
    image = photo(40, 40)
    window = changed(image, replace(PLAIN, scale=(16, 20)), draw(scale=value))
    low = round((side - 12) / 2)
    assert (window == resize(image, size=(side, side))[low : low + 12, low : low + 12]).all()


def test_a_fixed_scale_is_a_range_of_one_and_none_is_that_of_testing():
    image = photo(40, 60)
    tested = replace(NATIVE, resize=16)
    fixed = changed(image, replace(PLAIN, scale=(16, 16)), draw(), NATIVE)
    assert (fixed == changed(image, PLAIN, draw(), tested)).all()
    assert (fixed.transpose(2, 0, 1) == apply(image, tested).numpy()).all()


def test_a_random_size_crop_keeps_to_its_areas_and_ratios():
    image = np.stack(np.meshgrid(np.arange(200), np.arange(200)), -1).astype(np.uint8)
    image = np.concatenate([image, image[..., :1]], -1)
    augment = replace(PLAIN, crop="random-size")
    areas, ratios = [], []
    for row in draws(0, epoch=0, indices=np.arange(400), count=DRAWS):
        window = changed(image, augment, row).astype(float)
        wide, high = (np.ptp(window[..., axis]) * 12 / 11 for axis in (0, 1))
        areas.append(wide * high / 40_000)
        ratios.append(wide / high)
    assert 0.05 < min(areas) < 0.15 and 0.85 < max(areas) < 1.1
    assert 0.7 < min(ratios) < 0.85 and 1.2 < max(ratios) < 1.45
    assert np.mean(areas) == pytest.approx(0.54, abs=0.06)


def test_a_random_size_crop_fits_any_shape():
    for shape in ((1, 1), (1, 300), (300, 2)):
        for row in draws(1, epoch=0, indices=np.arange(20), count=DRAWS):
            assert changed(np.zeros((*shape, 3), np.uint8), Augment(crop="random-size"), row).shape == (12, 12, 3)


AUGMENTS = [
    Augment(),
    Augment(pad=4),
    Augment(crop="center", pad=3),
    Augment(scale=(14, 14), pad=1),
    Augment(scale=(13, 19)),
    Augment(crop="random-size"),
    PLAIN,
]


@pytest.mark.parametrize("augment", AUGMENTS, ids=str)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("side", [8, 12, 16])
def test_a_batch_has_the_pixels_of_single_images(augment, channels, side):
    color = {1: "grey", 3: "RGB"}[channels]
    preprocessing = Preprocessing(channels, (side, side), None, "center", (0.0,) * channels, (1.0,) * channels, color)
    split = memory(channels=channels)
    before = split.images.copy()
    rows = draws(7, epoch=1, indices=np.arange(len(split)), count=DRAWS)
    batch = augment_batch(split.images, augment=augment, preprocessing=preprocessing, draw=rows)
    for image, row, result in zip(split.images, rows, batch, strict=True):
        single = changed(image.transpose(1, 2, 0), augment, row, preprocessing)
        assert (single.transpose(2, 0, 1) == result).all()
    assert (split.images == before).all()


def test_the_colour_shift_is_the_sum_over_principal_colours():
    split = memory(n=50, channels=3)
    augment = with_components(Augment(color=0.1), split)
    rows = draws(3, epoch=0, indices=np.arange(5), count=DRAWS)
    shift = color_shift(augment, rows)
    values, vectors = color_components(split)
    for row, found in zip(rows, shift, strict=True):
        u = row[COLOR:]
        r = [np.sqrt(-2 * np.log(1 - u[0])), np.sqrt(-2 * np.log(1 - u[1]))]
        normal = [r[0] * np.cos(2 * np.pi * u[2]), r[1] * np.cos(2 * np.pi * u[3]), r[0] * np.sin(2 * np.pi * u[2])]
        expected = sum(0.1 * normal[i] * np.sqrt(values[i]) * np.array(vectors[i]) for i in range(3))
        assert found == pytest.approx(expected, rel=1e-12)
    numbers = normalise(split.images[:5], NATIVE, shift=shift)
    assert np.abs(numbers.numpy() - (split.images[:5] + shift[:, :, None, None])).max() < 1e-4


def test_the_colour_shift_has_a_tenth_of_the_spread_of_the_pixels():
    split = memory(n=200, channels=3)
    augment = with_components(Augment(color=0.1), split)
    shift = color_shift(augment, draws(0, epoch=0, indices=np.arange(20_000), count=DRAWS))
    pixels = split.images.transpose(1, 0, 2, 3).reshape(3, -1).astype(float)
    assert np.abs(shift.mean(0)).max() < 0.2
    assert np.cov(shift.T) == pytest.approx(0.01 * np.cov(pixels), rel=0.05, abs=1.5)


def test_the_colour_shift_of_an_image_does_not_depend_on_its_batch():
    augment = with_components(Augment(color=0.1), memory(channels=3))
    rows = draws(0, epoch=0, indices=np.arange(67), count=DRAWS)
    together = color_shift(augment, rows)
    assert all((color_shift(augment, rows[i : i + 1])[0] == together[i]).all() for i in range(67))


def test_grey_images_shift_in_brightness():
    augment = with_components(Augment(color=0.1), memory(channels=1))
    assert color_shift(augment, draws(0, epoch=0, indices=np.arange(9), count=DRAWS)).shape == (9, 1)


def test_a_colour_shift_without_components_says_where_they_come_from():
    with pytest.raises(ConfigError, match="with_components"):
        color_shift(Augment(color=0.1), draw()[None])
    assert color_shift(Augment(), draw()[None]) is None
    assert with_components(Augment(), memory()) == Augment()


@pytest.mark.parametrize(
    "wrong", [{"scale": (0, 3)}, {"scale": (5, 4)}, {"scale": (5,)}, {"crop": "left"}, {"pad": -1}, {"color": -0.1}]
)
def test_an_impossible_augmentation_is_refused(wrong):
    with pytest.raises(ConfigError, match="augment") as caught:
        Augment(**wrong)
    assert caught.value.code == "AUGMENT-INVALID"


def test_a_mirrored_border_is_pytorchs_reflection_for_one_image_and_for_many():
    images = np.random.default_rng(0).integers(0, 256, (3, 3, 6, 7), dtype=np.uint8)
    augment = Augment(pad=2, border="mirrored")
    expected = torch.nn.functional.pad(torch.from_numpy(images).float(), (2, 2, 2, 2), "reflect").byte().numpy()
    assert np.array_equal(padded(images, augment, axes=(2, 3)), expected)
    one = padded(images[0].transpose(1, 2, 0), augment, axes=(0, 1))
    assert np.array_equal(one.transpose(2, 0, 1), expected[0])
    assert not padded(images, Augment(pad=2), axes=(2, 3))[:, :, :2].any()


@pytest.mark.parametrize("option", [{"turns": "sometimes"}, {"border": "white"}])
def test_unknown_turns_and_borders_are_refused(option):
    with pytest.raises(ConfigError) as caught:
        Augment(**option)
    assert caught.value.code == "AUGMENT-INVALID"
