"""VGG-16 at full size, written by each library's own function, and found without being told what it is."""

import subprocess
import sys

import numpy as np
import pytest
import timm
import torch
import torchvision

from verydeep.backends.pytorch import build
from verydeep.data.preprocess import normalise
from verydeep.families.catalog import network
from verydeep.weights.importing import import_weights

pytestmark = pytest.mark.slow

CLASSES = 10

KERAS = """
import os, sys
os.environ["KERAS_BACKEND"] = "torch"
import numpy as np
from keras.applications import vgg16
folder = sys.argv[1]
model = vgg16.VGG16(weights=None, classes=10, classifier_activation=None)
for variable in model.weights:
    if len(variable.shape) == 1:
        variable.assign(np.linspace(-0.01, 0.01, variable.shape[0]))
model.save_weights(f"{folder}/full.weights.h5")
model.save(f"{folder}/full.h5")
crops = np.load(f"{folder}/crops.npy").transpose(0, 2, 3, 1).astype(np.float32)
np.save(f"{folder}/logits.npy", model.predict(vgg16.preprocess_input(crops), verbose=0))
"""


@pytest.fixture
def crops():
    return np.random.default_rng(0).integers(0, 256, (2, 3, 224, 224), dtype=np.uint8)


def ours(imported, crops):
    assert imported.network == network("vgg16", classes=CLASSES)
    with torch.no_grad():
        return build(imported.network, imported.weights).eval()(normalise(crops, imported.preprocessing)).numpy()


def error(found, expected):
    return float(np.abs(found - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize("library", ["torchvision", "timm"])
def test_vgg16_of_pytorchs_libraries(library, crops, tmp_path):
    torch.manual_seed(0)
    create = {"torchvision": torchvision.models.vgg16, "timm": timm.models.vgg16}[library]
    model = create(num_classes=CLASSES).eval()
    torch.save(model.state_dict(), tmp_path / "full")
    imported = import_weights(tmp_path / "full")
    assert imported.format == library
    with torch.no_grad():
        expected = model(normalise(crops, imported.preprocessing)).numpy()
    assert error(ours(imported, crops), expected) <= 1e-4


def test_vgg16_of_keras_applications(crops, tmp_path):
    np.save(tmp_path / "crops.npy", crops)
    done = subprocess.run(
        [sys.executable, "-c", KERAS, str(tmp_path)], capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    expected = np.load(tmp_path / "logits.npy")
    for file, format in (("full.weights.h5", "keras3"), ("full.h5", "keras")):
        imported = import_weights(tmp_path / file)
        assert imported.format == format
        assert error(ours(imported, crops), expected) <= 1e-4
