"""A .keras file is the model, for those who have Keras and not us; one that is not is deleted."""

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import verydeep as vd
from tests.deploy.bundles import SHARE, apart
from tests.deploy.models import saved, untrained
from tests.deploy.refusals import damage, refused, take_away
from verydeep.deploy import to_keras
from verydeep.deploy.bundle import for_pixels, of_any_size
from verydeep.deploy.export import export
from verydeep.deploy.verify import model_of
from verydeep.errors import ConfigError
from verydeep.weights.importing import import_weights

SMALL = vd.vgg(((1, 4),), input=(1, 8, 8), classes=10, fc=())


@pytest.mark.parametrize("size", ["fixed", "free"])
def test_what_is_right_is_kept_and_has_names_and_preprocessing_inside(size, tmp_path: Path):
    bundle = untrained(SMALL)
    done = export(saved(bundle, tmp_path), "digits", to="keras", size=size)
    assert done.files == (("mine.keras",) if size == "fixed" else ("mine.free.keras",))
    assert done.checked.batches == (1, 2, 7)
    with zipfile.ZipFile(done.path) as file:
        texts = {name: json.loads(file.read(f"{name}.json")) for name in ("classes", "preprocessing", "verydeep")}
    assert texts["classes"] == list(bundle.classes)
    assert texts["preprocessing"] == done.preprocessing
    assert texts["preprocessing"]["mean"] == [0.0]
    assert texts["verydeep"]["blocks"][0]["name"] == "normalize"


def test_the_free_form_takes_any_batch_and_size(tmp_path: Path):
    network = vd.network("A", input=(3, 32, 32), width=1 / 16, fc=(16,), classes=10)
    bundle = of_any_size(untrained(network))
    to_keras.write(for_pixels(bundle), tmp_path / "model.keras", size="free")
    compute, model = to_keras.runner(tmp_path / "model.keras"), model_of(bundle)
    for shape in ((1, 3, 32, 32), (7, 3, 64, 32), (2, 3, 70, 101)):
        pixels = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
        assert apart(compute(pixels.astype(np.float32)), model(pixels)) <= SHARE


def test_it_is_imported_again_with_what_it_says_of_itself(tmp_path: Path):
    network = vd.network("A", input=(3, 32, 32), width=1 / 16, fc=(16, 16), classes=10)
    bundle = untrained(network)
    record = replace(bundle.preprocessing, mean=(0.0,) * 3)  # a mean would be a convolution more than a VGG has
    bundle = for_pixels(replace(bundle, preprocessing=record))
    to_keras.write(bundle, tmp_path / "model.keras", size="fixed")
    found = import_weights(tmp_path / "model.keras", network)
    assert (found.preprocessing, found.classes, found.notes) == (bundle.preprocessing, bundle.classes, ())
    assert all(np.array_equal(found.weights[name], array) for name, array in bundle.weights.items())


def test_a_network_that_keras_alone_does_not_have_is_refused(tmp_path: Path):
    """Pools that round up, on images of any size."""
    bundle = of_any_size(untrained(vd.network("nin", width=1 / 16, classes=10)))
    with pytest.raises(ConfigError, match="Keras has no layer that computes pool1, pool2 of nin_dense") as caught:
        to_keras.write(bundle, tmp_path / "model.keras", size="free")
    assert caught.value.code == "EXPORT-NETWORK"
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_not_the_model_is_deleted(tmp_path, monkeypatch, capsys):
    model = saved(untrained(SMALL), tmp_path)
    damage(monkeypatch, "keras")
    code, line = refused(model, "keras", capsys)
    assert code == 8
    assert line.startswith("[EXPORT-MISMATCH]: the exported file is not the model: at batch 1 of 8x8 a logit is off")


def test_without_keras_one_line_says_what_to_install(tmp_path, monkeypatch, capsys):
    take_away(monkeypatch, "keras", to="keras")
    monkeypatch.delattr("verydeep.backends.keras3", raising=False)
    code, line = refused(saved(untrained(SMALL), tmp_path), "keras", capsys)
    assert code == 2
    assert line.startswith("[EXTRA-MISSING]: this needs keras, which is not installed. Run: pip install ")
