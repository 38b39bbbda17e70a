"""Tables 8 and 9 by their real path, tiny: what was stopped is gone on with, and other settings are refused."""

import shutil
from functools import partial

import pytest

from verydeep import run_files as files
from verydeep.errors import ConfigError
from verydeep.localise import study, synthetic
from verydeep.localise.localiser import RECORD


@pytest.fixture
def tiny(monkeypatch):
    """Sixty images, the smallest networks, one epoch."""
    monkeypatch.setattr(synthetic, "IMAGES", {"train": 60, "test": 20})
    monkeypatch.setattr(study, "CLASSIFIER", study.CLASSIFIER | {"arch": "1x2,1x2,1x2,1x2", "fc": (4, 4), "epochs": 2})
    monkeypatch.setattr(study, "SHARED", study.SHARED | {"epochs": 1})
    return partial(study.table8, seeds=(0,), device="cpu")


def test_what_was_stopped_is_gone_on_with_and_other_settings_are_refused(tiny, monkeypatch, tmp_path):
    expected = tiny(tmp_path / "whole")
    begun = tmp_path / "begun" / "seed-0" / "classifier-80"
    shutil.copytree(tmp_path / "whole" / "seed-0" / "classifier-80", begun)
    (begun / files.RESULT).unlink()  # as a training that was stopped before its end
    said = []
    assert tiny(tmp_path / "begun", say=said.append) == expected
    assert any("going on with the classifier" in line for line in said)
    half = tmp_path / "begun" / "seed-0" / "all-layers-pcr-80"
    (half / RECORD).unlink()
    assert tiny(tmp_path / "begun") == expected
    monkeypatch.setitem(study.SHARED, "lr", 0.5)
    with pytest.raises(ConfigError, match="another lr") as refused:
        tiny(tmp_path / "begun")
    assert refused.value.code == "REPRODUCE-OTHER"
    monkeypatch.setitem(study.CLASSIFIER, "epochs", 3)
    monkeypatch.setitem(study.CLASSIFIER, "lr", 0.5)
    with pytest.raises(ConfigError, match=r"lr: 0\.02 there, 0.5 wanted"):
        tiny(tmp_path / "begun")
