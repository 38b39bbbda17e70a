"""A .keras file is the model, for those who have Keras on any of its engines, and not us."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import verydeep as vd
from tests.deploy.bundles import SHARE, apart
from tests.deploy.models import elsewhere, untrained
from tests.in_keras import process
from tests.in_keras.process import Engine
from verydeep.data.split import FileSplit
from verydeep.deploy.bundle import Bundle
from verydeep.deploy.images import spread
from verydeep.deploy.verify import model_of

NETWORKS = {
    "vgg": vd.network("A-LRN", input=(3, 32, 32), width=1 / 16, fc=(16,), classes=10),
    "resnet": vd.network("resnet18", input=(3, 32, 32), width=1 / 16, classes=10),
    "googlenet": vd.network("googlenet", input=(3, 64, 64), width=1 / 16, classes=10),
}

OURS = """
import sys
from pathlib import Path
from tests.deploy.test_to_keras import bundles
from verydeep.deploy import to_keras
from verydeep.deploy.bundle import for_pixels
for name, bundle in bundles().items():
    to_keras.write(for_pixels(bundle), Path(sys.argv[1]) / f"{name}.keras", size="fixed")
"""

THEIRS = """
import keras, os, zipfile
logits = []
for name in os.environ["NAMES"].split():
    model = keras.saving.load_model(f"{name}.keras")
    height, width = model.input_shape[1:3]
    logits.append(keras.ops.convert_to_numpy(model(images[:, :height, :width])))
print(keras.config.backend(), zipfile.ZipFile("vgg.keras").read("classes.json").decode())
"""


def bundles() -> dict[str, Bundle]:
    classes = ("Katze", "naïve 猫", *"23456789")
    return {name: replace(untrained(network), classes=classes) for name, network in NETWORKS.items()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a .keras file of each network is."""
    place = tmp_path_factory.mktemp("keras")
    process.run("-c", OURS, place)
    return place


@pytest.mark.parametrize(
    ("engine", "names"),
    [("tensorflow", list(NETWORKS)), ("torch", list(NETWORKS)), ("jax", ["vgg"])],  # JAX compiles each size of map
)
def test_keras_alone_gives_the_logits_of_photographs_and_the_names(
    engine: Engine, names: list[str], folder: Path, photographs: FileSplit
):
    wide = replace(untrained(NETWORKS["googlenet"]).preprocessing, size=(64, 64), resize=64)
    pixels = spread(photographs, 10, preprocessing=wide).pixels
    images = np.ascontiguousarray(pixels.transpose(0, 2, 3, 1).astype(np.float32))
    variables = {
        "NAMES": " ".join(names),
        "KERAS_BACKEND": engine,
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
    }
    found, printed = elsewhere(THEIRS, images, folder, **variables)
    for logits, bundle in zip(found, (bundles()[name] for name in names), strict=True):
        height, width = bundle.network.input[1:]
        expected = model_of(bundle)(np.ascontiguousarray(pixels[:, :, :height, :width]))
        assert apart(logits, expected) <= SHARE
        assert np.array_equal(logits.argmax(1), expected.argmax(1))
    assert printed.split(maxsplit=1)[0] == engine
    assert tuple(json.loads(printed.splitlines()[-1].split(maxsplit=1)[1])) == bundles()["vgg"].classes


def test_exports_to_keras_are_checked_and_refused_as_all_others():
    print(process.run_tests("test_to_keras.py"))
