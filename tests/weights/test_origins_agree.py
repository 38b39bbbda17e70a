"""One function of a photograph, written by seven programs, is one function when it is read back (NUM-05).

The files come from the real libraries where they can write them; see origins.py and write_keras.py.
"""

from dataclasses import replace

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from timm.data import create_transform, resolve_data_config
from torchvision.models import VGG16_Weights

from tests.weights import origins
from verydeep.backends.pytorch import build
from verydeep.data.decode import decode
from verydeep.data.preprocess import apply, fit, normalise
from verydeep.errors import WeightsError
from verydeep.weights import caffe, flaxmodels, keras_applications, keras_hub, matconvnet
from verydeep.weights import timm as timm_names
from verydeep.weights.formats import FORMATS
from verydeep.weights.importing import import_weights

TOLERANCE = 1e-4  # of the largest logit

FILES = {  # the file, and the format that it must be taken for
    "torchvision.pth": "torchvision",
    "torchvision.safetensors": "torchvision",
    "timm.pth": "timm",
    "timm.safetensors": "timm",
    "keras_released.h5": "keras",
    "keras2.h5": "keras",
    "keras_whole.h5": "keras",
    "keras3.weights.h5": "keras3",
    "keras3.keras": "keras3",
    "keras_hub.weights.h5": "keras_hub",
    "keras_hub.keras": "keras_hub",
    "keras_hub_flatten.weights.h5": "keras_hub_flatten",
    "keras_hub_flatten.keras": "keras_hub_flatten",
    "flaxmodels.h5": "flaxmodels",
    "matconvnet.mat": "matconvnet",
    "caffe.caffemodel": "caffe",
    "caffe_2014.caffemodel": "caffe",
}


def ours(imported, photographs):
    """The logits for photographs that are preprocessed as the imported record says."""
    images = torch.stack([apply(decode(path, channels=3), imported.preprocessing) for path in photographs])
    with torch.no_grad():
        return build(imported.network, imported.weights).eval()(images).numpy()


def error(found, expected):
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def at_256(imported):
    """Keras-Hub shrinks the shorter side to 224 where the others crop from 256: here all shall see the same pixels."""
    return replace(imported, preprocessing=replace(imported.preprocessing, resize=256))


@pytest.fixture(scope="module")
def truth(photographs):
    """What torchvision's model answers to the photographs after torchvision's own transforms."""
    prepare = VGG16_Weights.IMAGENET1K_V1.transforms()
    model = origins.torchvision_model(origins.of_numbers(origins.of_pixels()))
    with torch.no_grad():
        return model(torch.stack([prepare(Image.open(path).convert("RGB")) for path in photographs])).numpy()


@pytest.mark.parametrize("file", FILES)
def test_a_file_is_recognised_and_answers_as_torchvision_does(file, origin_files, photographs, truth):
    imported = import_weights(origin_files / file, origins.NET)
    assert imported.format == FILES[file]
    assert error(ours(at_256(imported), photographs), truth) <= TOLERANCE


def test_the_answers_tell_photographs_apart(truth):
    assert truth.std(axis=0).min() > 0.01 * np.abs(truth).max()


def test_timm_answers_the_same_after_its_own_transforms(origin_files, photographs):
    record = resolve_data_config(pretrained_cfg=timm.get_pretrained_cfg("vgg16.tv_in1k").to_dict())
    prepare = create_transform(**record, is_training=False)
    model = origins.timm_model(origins.of_numbers(origins.of_pixels()))
    with torch.no_grad():
        theirs = model(torch.stack([prepare(Image.open(path).convert("RGB")) for path in photographs])).numpy()
    assert error(ours(import_weights(origin_files / "timm.pth", origins.NET), photographs), theirs) <= TOLERANCE


@pytest.mark.parametrize(
    ("library", "file"),
    [
        ("keras", "keras3.keras"),
        ("keras_hub", "keras_hub.keras"),
        ("keras_hub_flatten", "keras_hub_flatten.keras"),
        ("flaxmodels", "flaxmodels.h5"),
    ],
)
def test_the_library_answers_the_same_after_its_own_preprocessing(library, file, origin_files, photographs):
    theirs = np.load(origin_files / "logits.npz")[library]
    imported = import_weights(origin_files / file, origins.NET)
    assert error(ours(at_256(imported), photographs), theirs) <= TOLERANCE


def test_keras_hub_crops_the_longer_side_as_our_record_does(origin_files):
    whole = np.load(origin_files / "whole.npy")
    assert max(whole.shape) > 224
    theirs = np.load(origin_files / "converted.npy")[0].transpose(2, 0, 1)
    assert fit(whole, keras_hub.PREPROCESSING).shape == (224, 224, 3)
    assert np.abs(apply(whole, keras_hub.PREPROCESSING).numpy() - theirs).max() < 1e-5


def test_the_mean_of_a_matconvnet_file_is_the_files_own(tmp_path):
    weights = origins.of_pixels()
    for average in ([100.0, 110.0, 120.0], np.full((3, 3), 7.0)[0]):
        origins.write_matconvnet(weights, tmp_path / "net.mat", average=average)
        assert import_weights(tmp_path / "net.mat", origins.NET).preprocessing.mean == tuple(average)


@pytest.mark.parametrize("average", [[1.0, 2.0], [[float("nan")] * 3], 5.0])
def test_a_mean_that_is_no_colour_is_refused(average):
    with pytest.raises(WeightsError, match="averageImage is no colour and no image"):
        matconvnet.preprocessing(origins.NET, average)


def with_record(name, **changes):
    """Hand out another preprocessing with the weights of a format."""

    def damage(monkeypatch):
        kept = FORMATS[name].preprocessing
        changed = replace(FORMATS[name], preprocessing=lambda *given: replace(kept(*given), **changes))
        monkeypatch.setitem(FORMATS, name, changed)

    return damage


def with_axes(module, **changes):
    """Read a format as if its arrays had other axes."""

    def damage(monkeypatch):
        for name, axes in changes.items():
            monkeypatch.setattr(module, name, axes)

    return damage


def as_it_is(module, name):
    """Leave out a step that brings an array into its shape."""
    return lambda monkeypatch: monkeypatch.setattr(module, name, lambda array, _: array)


DARK = (0.0, 0.0, 0.0)
ONES = (1.0, 1.0, 1.0)
STEPS = [  # a step of a conversion, how it is left out, and the files that must then no longer agree
    *(
        (f"{module.__name__.split('.')[-1]}: {what}", with_axes(module, KERNEL=axes), files)
        for module, files in (
            (keras_applications, ("keras_released.h5", "keras3.keras")),
            (keras_hub, ("keras_hub.keras", "keras_hub_flatten.keras")),
            (flaxmodels, ("flaxmodels.h5",)),
            (matconvnet, ("matconvnet.mat",)),
        )
        for what, axes in (("kernels are not transposed", "O I H W"), ("height and width are exchanged", "W H I O"))
    ),
    ("caffe: height and width are exchanged", with_axes(caffe, KERNEL="O I W H"), ("caffe.caffemodel",)),
    ("caffe: inputs and outputs are exchanged", with_axes(caffe, KERNEL="I O H W"), ("caffe.caffemodel",)),
    ("timm: height and width are exchanged", with_axes(timm_names, CONVOLUTION="O I W H"), ("timm.pth",)),
    ("timm: fc1 is no 7x7 convolution", with_axes(timm_names, CONVOLUTION="O (I H W)"), ("timm.pth",)),
    *(
        (f"{module.__name__.split('.')[-1]}: {what}", with_axes(module, MATRIX=axes), files)
        for module, own, files in (
            (keras_applications, "(H W I) O", ("keras2.h5", "keras3.weights.h5")),
            (keras_hub, "(H W I) O", ("keras_hub_flatten.keras",)),
            (flaxmodels, "(I H W) O", ("flaxmodels.h5",)),
        )
        for what, axes in (
            ("the rows of fc6 are in another order", "(I H W) O" if own == "(H W I) O" else "(H W I) O"),
            ("the rows of fc6 are exchanged", own.replace("H W", "W H")),
            ("matrices are not transposed", "O (I H W)"),
        )
    ),
    ("caffe: the columns of fc6 are in another order", with_axes(caffe, MATRIX="O (H W I)"), ("caffe.caffemodel",)),
    ("caffe: old blobs keep four axes", as_it_is(caffe, "_without_padding"), ("caffe_2014.caffemodel",)),
    ("matconvnet: biases keep two axes", as_it_is(matconvnet, "_as_meant"), ("matconvnet.mat",)),
    *(
        (f"{name}: {what}", with_record(name, **changes), (file,))
        for name, file in (
            ("torchvision", "torchvision.pth"),
            ("timm", "timm.safetensors"),
            ("keras_hub", "keras_hub.keras"),
            ("flaxmodels", "flaxmodels.h5"),
        )
        for what, changes in (
            ("blue comes first", {"color": "BGR"}),
            ("no mean is subtracted", {"mean": DARK}),
            ("nothing is divided by the deviation", {"std": ONES}),
            ("the input is 0 to 1", {"mean": DARK, "std": (255.0,) * 3}),
        )
    ),
    *(
        (f"{name}: {what}", with_record(name, **changes), (file,))
        for name, file in (
            ("keras", "keras_whole.h5"),
            ("keras3", "keras3.keras"),
            ("caffe", "caffe.caffemodel"),
            ("matconvnet", "matconvnet.mat"),
        )
        for what, changes in (
            ("the colours are exchanged", {"color": "BGR" if name == "matconvnet" else "RGB"}),
            ("no mean is subtracted", {"mean": DARK}),
            ("the mean is in the other order", {"mean": FORMATS[name].preprocessing(origins.NET, {}).mean[::-1]}),
            ("the input is 0 to 1", {"std": (255.0,) * 3}),
        )
    ),
]


@pytest.mark.parametrize(
    ("damage", "file"),
    [pytest.param(damage, file, id=f"{what} ({file})") for what, damage, files in STEPS for file in files],
)
def test_a_step_that_is_left_out_is_noticed(damage, file, origin_files, truth, monkeypatch):
    damage(monkeypatch)
    try:
        imported = import_weights(origin_files / file, origins.NET, format=FILES[file])
    except WeightsError:
        return
    crops = np.load(origin_files / "crops.npy")[:3].transpose(0, 3, 1, 2)
    with torch.no_grad():
        found = build(imported.network, imported.weights).eval()(normalise(crops, imported.preprocessing)).numpy()
    assert error(found, truth[:3]) > TOLERANCE


def test_every_format_of_another_library_is_here_or_with_mxnet():
    elsewhere = {"canonical", "model", "gluon_zoo", "gluon", "mxnet_symbol"}  # ours, and tests/in_mxnet
    assert set(FILES.values()) == set(FORMATS) - elsewhere
