"""A file of ours leaves as it came, or in the form for any size."""

from pathlib import Path

import numpy as np

import verydeep as vd
from tests.deploy.models import saved, untrained
from tests.deploy.refusals import damage, refused
from verydeep.deploy.export import export
from verydeep.run import open_run
from verydeep.weights import canonical

SMALL = vd.vgg(((1, 4),), input=(1, 8, 8), classes=10, fc=())


def test_the_file_holds_the_model_and_every_command_takes_it(tmp_path: Path):
    bundle = untrained(SMALL)
    done = export(saved(bundle, tmp_path), "digits", to="safetensors", out=tmp_path / "out.safetensors")
    assert done.files == ("out.safetensors",)
    opened = open_run(done.path)
    assert (opened.network, opened.preprocessing, opened.classes) == (SMALL, bundle.preprocessing, bundle.classes)
    assert all(np.array_equal(opened.weights[name], array) for name, array in bundle.weights.items())
    assert vd.evaluate(done.path, "digits").to_json() == vd.evaluate(tmp_path / "mine.safetensors", "digits").to_json()


def test_the_form_for_any_size_is_one_of_ours_too(tmp_path: Path):
    done = export(saved(untrained(SMALL), tmp_path), "digits", to="safetensors", size="free")
    assert done.path.name == "mine.free.safetensors"
    file = canonical.load(done.path)
    assert file.network == vd.dense(SMALL)
    assert file.preprocessing is not None
    assert file.preprocessing["crop"] == "none"


def test_the_model_itself_is_never_written_over(tmp_path, capsys):
    model = saved(untrained(SMALL), tmp_path)
    before = model.read_bytes()
    code, line = refused(model, "safetensors", capsys)
    assert code == 2
    assert "mine.safetensors is there already, and nothing is written over" in line
    assert model.read_bytes() == before


def test_a_file_that_is_not_the_model_is_deleted(tmp_path, monkeypatch, capsys):
    model = saved(untrained(SMALL), tmp_path)
    damage(monkeypatch, "safetensors")
    code, line = refused(model, "safetensors", capsys, "--out", str(tmp_path / "out.safetensors"))
    assert code == 8
    assert line.startswith("[EXPORT-MISMATCH]: the exported file is not the model")
