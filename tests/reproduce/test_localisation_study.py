"""Tables 8 and 9 by their real path, tiny: what was stopped is gone on with, and other settings are refused."""

import shutil
from functools import partial

import pytest

from verydeep import run_files as files
from verydeep.errors import ConfigError
from verydeep.localise import synthetic
from verydeep.localise.localiser import RECORD
from verydeep.reproduce import localisation_study as study


@pytest.fixture
def tiny(monkeypatch):
    """Sixty images, the smallest networks, one epoch."""
    monkeypatch.setattr(synthetic, "IMAGES", {"train": 60, "test": 20})
    monkeypatch.setattr(study, "CLASSIFIER", study.CLASSIFIER | {"arch": "1x2,1x2,1x2,1x2", "fc": (4, 4), "epochs": 2})
    monkeypatch.setattr(study, "SHARED", study.SHARED | {"epochs": 1})
    return partial(study.table8, seeds=(0,), device="cpu")


def test_table_9_takes_the_localiser_of_table_8_from_their_folder(tiny, tmp_path):
    tiny(tmp_path)
    said = []
    rows = study.table9(tmp_path, seeds=(0,), device="cpu", say=said.append)
    assert [row.name for row in rows] == ["80 / 80", "96 / 96", "96 / 88,96", "fusion: 80 and 96 / 88,96"]
    assert [row.published for row in rows] == [29.5, 28.2, 27.5, 26.9]
    assert all(0 <= error <= 1 for row in rows for error in row.errors)
    trained = [line for line in said if "training" in line]
    assert trained == [
        "seed 0: training a classifier at S = 96",
        "seed 0: training a localiser at S = 96, all layers, PCR",
    ]


def test_a_localiser_of_another_classifier_is_refused(tiny, tmp_path):
    tiny(tmp_path)
    metrics = tmp_path / "seed-0" / "classifier-80" / files.METRICS
    metrics.write_text(metrics.read_text().replace('"epoch": 1', '"epoch":  1'))  # as if trained anew
    with pytest.raises(ConfigError, match="it began with another classifier") as refused:
        tiny(tmp_path)
    assert refused.value.code == "REPRODUCE-OTHER"


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
