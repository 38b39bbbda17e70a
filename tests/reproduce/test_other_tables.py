"""Tables 8, 9 and 11: what other parts of the package find, beside the paper's figures."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from tests.reproduce.tiny import tiny
from verydeep.data import digits
from verydeep.errors import ConfigError, DataError
from verydeep.reproduce import document, localisation_table, reproduce, transfer_targets
from verydeep.reproduce.declared import Trained
from verydeep.reproduce.localisation_study import Row
from verydeep.reproduce.request import Request
from verydeep.reproduce.scales import scale


@pytest.fixture
def digits_in_files(tmp_path: Path) -> Path:
    """A folder that holds the data set of Table 11: ten images of each digit for training, five to test."""
    split = digits.load(split="train", root=tmp_path, download=False)
    for label, name in enumerate(split.classes):
        own = split.images[split.labels == label]
        for part, images in (("train", own[:10]), ("val", own[10:15])):
            folder = tmp_path / "data" / "digits-in-files" / part / name
            folder.mkdir(parents=True)
            for number, image in enumerate(images):
                Image.fromarray(image[0]).save(folder / f"{number}.png")
    return tmp_path / "data"


def test_table_11_is_computed_once(digits_in_files: Path, monkeypatch, tmp_path: Path):
    monkeypatch.setattr(transfer_targets, "TRAINED", (Trained("A"), Trained("B")))
    request = replace(tiny(tmp_path / "out", seeds=1), data_root=digits_in_files)
    found = reproduce.reproduce("table11", request)
    names = [row["features"] for row in found.record["rows"]]
    assert names == ["A", "B", "A & B", "A, untrained", "B, untrained", "pixels"]
    pixels = found.record["rows"][-1]["targets"]["digits-in-files"]["ours"]
    assert min(pixels) > 0.5
    monkeypatch.setattr(transfer_targets.table_11, "rows", None)
    again = reproduce.reproduce("table11", request)
    assert again.record["rows"] == found.record["rows"]
    assert again.record["rows"][0]["targets"]["digits-in-files"]["paper"] == {"mean": None, "deviation": None}
    kept = tmp_path / "out" / "evaluations" / "transfer" / "digits-in-files.json"
    whole = kept.read_text()
    kept.write_text(whole.replace('"values"', '"value"'))
    with pytest.raises(TypeError):  # damaged: computed anew, for which there is nothing here
        reproduce.reproduce("table11", request)
    kept.write_text(whole)
    next((digits_in_files / "digits-in-files" / "val" / "3").iterdir()).unlink()
    with pytest.raises(TypeError):  # other images
        reproduce.reproduce("table11", request)


def test_the_papers_figures_of_table_11_stand_under_their_data_sets():
    found = {
        data: transfer_targets.published(transfer_targets.Target(data, data, "", None), "D & E")
        for data in ("voc2007", "voc2012", "caltech101", "caltech256", "imagenette-mini")
    }
    assert found == {
        "voc2007": "89.7",
        "voc2012": "89.3",
        "caltech101": "92.7 ± 0.5",
        "caltech256": "86.2 ± 0.3",
        "imagenette-mini": None,
    }


def test_table_11_without_any_of_its_data_sets_is_refused_before_training(tmp_path: Path):
    with pytest.raises(DataError, match="none of the data sets of Table 11 is here: digits-in-files"):
        reproduce.reproduce("table11", replace(tiny(tmp_path / "out"), data_root=tmp_path))
    assert not (tmp_path / "out").exists()


def test_an_image_of_table_11_that_cannot_be_read_is_refused_before_training(digits_in_files: Path, tmp_path: Path):
    (digits_in_files / "digits-in-files" / "val" / "3" / "0.png").write_text("no image")
    with pytest.raises(DataError, match="1 of 150 images cannot be read"):
        reproduce.reproduce("table11", replace(tiny(tmp_path / "out"), data_root=digits_in_files))
    assert not (tmp_path / "out" / "runs").exists()


def test_a_table_of_localisers_is_the_studys(monkeypatch, tmp_path: Path):
    rows = (Row("the best constant box", (0.8, 0.8)), Row("all layers, PCR", (0.31, 0.33), 33.1))
    called = []

    def table8(folder, *, seeds, device, say):
        called.append((folder, list(seeds), device))
        return rows

    monkeypatch.setattr(localisation_table, "table8", table8)
    found = reproduce.reproduce("table8", tiny(tmp_path / "out"))
    assert called == [(tmp_path / "out" / "localisation", [0, 1], "cpu")]
    assert found.sections[0].cells[1] == ("all layers, PCR", "33.1", "32.00 ± 1.41")
    assert found.record["rows"][1]["paper"] == {"error": 0.331}
    assert json.loads((tmp_path / "out" / "table8.json").read_text())["data"] == "synthetic"
    assert "digits on photographs" in document.write(found, "text")


@pytest.mark.parametrize("name", ["table8", "table9"])
def test_localisers_at_the_papers_scale_are_refused_with_the_commands(name: str, tmp_path: Path):
    with pytest.raises(ConfigError, match=r"docs/localise\.md") as refused:
        reproduce.planned(name, Request(scale("imagenet"), 1, tmp_path))
    assert refused.value.code == "REPRODUCE-SCALE"
