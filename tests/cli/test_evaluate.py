"""`verydeep evaluate` by the paper's protocols: their options, what is kept and fused, and what is refused."""

import json
import shutil

import numpy as np
import pytest

from verydeep.evaluation import room

DENSE = ("--protocol", "dense", "--scales", 8, 10)


def test_a_protocol_is_said_in_every_format(verydeep, digits_run):
    found = json.loads(verydeep("evaluate", digits_run, *DENSE, "--flip", "--format", "json").out)
    assert {key: found[key] for key in ("protocol", "scales", "flip", "runs", "count")} == {
        "protocol": "dense",
        "scales": [8, 10],
        "flip": True,
        "runs": [],
        "count": 360,
    }
    for format in ("text", "markdown"):
        text = verydeep("evaluate", digits_run, *DENSE, "--format", format).out  # no digit was mirrored in training
        assert "protocol: dense, Q = 8, 10, without mirror images" in text


def test_every_protocol_gives_another_answer(verydeep, digits_run):
    losses = {
        kind: json.loads(verydeep("evaluate", digits_run, "--protocol", kind, "--scales", 10, "--format", "json").out)[
            "loss"
        ]
        for kind in ("center", "ten-crop", "dense", "multi-crop", "both")
    }
    assert len(set(losses.values())) == 5


def test_runs_and_saved_posteriors_are_fused(verydeep, digits_run, in_an_empty_folder):
    for name in ("one", "two"):
        shutil.copytree(digits_run, name)
        said = verydeep("evaluate", name, *DENSE, "--save", f"{name}.npz", "--format", "json")
        assert said.code == 0
    alone = json.loads(said.out)
    fused = json.loads(verydeep("evaluate", digits_run, *DENSE, "--fuse", "one.npz", "two.npz", "--format", "json").out)
    assert [(run["protocol"], run["scales"]) for run in fused["runs"]] == [("dense", [8, 10])] * 3
    assert fused["loss"] == pytest.approx(alone["loss"], abs=1e-12)
    assert sorted(path.name for path in in_an_empty_folder.iterdir()) == ["one", "one.npz", "two", "two.npz"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--scales", "7"], 2, "the test scale 7 is below the crop of 8 pixels that vgg reads. Give --scales of 8 or"),
        (["--scales", "8.5"], 2, "Invalid value for --scales: '8.5' is not a whole number"),
        (["--scales", "-8"], 2, "not -8"),
        (["--scales"], 2, "--scales"),
        (["--protocol", "dens"], 2, "--protocol"),
        (["--protocol", "dense", "--memory", "0"], 2, "memory must be 1 or more, got 0"),
        (["--memory", "0"], 2, "memory must be 1 or more, got 0"),
        (["--save", "x"], 2, "--save x does not end in .npz"),
        (["--save", "nowhere/x.npz"], 2, "--save nowhere/x.npz cannot be written: nowhere is no folder"),
        (["--fuse", "nowhere"], 2, "nowhere is no run"),
        (["--fuse", "nowhere.npz"], 4, "nowhere.npz cannot be opened"),
        (["--fuse", "{file}"], 3, "text.npz holds no posteriors: File is not a zip file. Write it anew"),
        (["--fuse", "{file.parent}/empty.npz"], 3, "empty.npz holds no posteriors: File is not a zip file"),
        (["--fuse", "{file.parent}"], 2, "is no run"),
        (["--fuse", "{file.parent}/folder.npz"], 4, "folder.npz is no regular file"),
        (["--fuse", "{run}"], 2, "by center, Q = 8, without mirror images, is there twice, and would count twice"),
    ],
)
def test_what_evaluate_cannot_do_is_refused_in_one_line(refused, digits_run, tmp_path, words, code, said):
    file = tmp_path / "text.npz"
    file.write_text("no posteriors")
    (tmp_path / "empty.npz").touch()
    (tmp_path / "folder.npz").mkdir()
    words = [word.format(file=file, run=digits_run) for word in words]
    assert said in refused("evaluate", digits_run, *words, code=code)


def test_posteriors_of_other_images_are_refused(verydeep, refused, digits_run, tmp_path):
    file = tmp_path / "train.npz"
    assert verydeep("evaluate", digits_run, "--split", "train", "--save", file).code == 0
    line = refused("evaluate", digits_run, "--fuse", file)
    assert line.startswith("verydeep: error[FUSE-IMAGES]: ")
    assert "they were tested on other images, or with other labels" in line


def test_a_run_is_refused_beside_its_own_saved_posteriors(verydeep, refused, digits_run, tmp_path):
    file = tmp_path / "x.npz"
    assert verydeep("evaluate", digits_run, "--save", file).code == 0
    for words in ((digits_run, "--fuse", file), (file, "--fuse", file)):
        assert refused("evaluate", *words).startswith("verydeep: error[FUSE-TWICE]: ")


def test_a_run_with_other_classes_is_refused(verydeep, refused, digits_run, tmp_path):
    assert verydeep("evaluate", digits_run, "--save", tmp_path / "x.npz").code == 0
    with np.load(tmp_path / "x.npz") as archive:
        arrays = dict(archive)
    record = json.loads(arrays["record"].tobytes())
    record["classes"][3] = "drei"
    arrays["record"] = np.frombuffer(json.dumps(record).encode(), np.uint8)
    np.savez(tmp_path / "x.npz", **arrays)
    assert "class 3 is '3' and 'drei'" in refused("evaluate", digits_run, "--fuse", tmp_path / "x.npz")


def test_less_memory_than_the_smallest_part_needs_is_refused(refused, digits_run, monkeypatch):
    monkeypatch.setattr(room, "memory_bytes", lambda: 1000)
    line = refused("evaluate", digits_run, "--protocol", "dense", code=6)
    assert line.startswith("verydeep: error[EVAL-MEMORY]: ")
    assert "this machine has" in line
