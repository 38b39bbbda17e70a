"""The life of a run on the command line: train, evaluate, predict, report, resume, and every way to be interrupted."""

import csv
import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.command import ALONE, TINY, command, environment
from verydeep.cli.main import main
from verydeep.data import digits
from verydeep.training.display import Terminal

FILES = (
    "MODEL_CARD.md",
    "checkpoints",
    "config.yaml",
    "confusion.svg",
    "curves.svg",
    "environment.json",
    "metrics.csv",
    "metrics.jsonl",
    "model.safetensors",
    "network.json",
    "report.html",
    "result.json",
    "timings.jsonl",
)
LONG = ("--epochs", 7, "--batch", 64, "--pad", 1, "--checkpoint-every", 6, "--ema", 0.9, "--patience", 6)


def contents(run: Path) -> dict[str, str]:
    """SHA-256 of every file of a run."""
    files = (path for path in run.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(run)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def outcome(run: Path) -> dict[str, str]:
    """SHA-256 of what must be equal between equal runs."""
    found = contents(run)
    return {name: found[name] for name in ("model.safetensors", "metrics.jsonl")}


def write_digits(folder: Path, *, count: int) -> list[Path]:
    """The first test images as PNG files, named after their class."""
    split = digits.load(split="test", root=Path(), download=False)
    paths = []
    for number in range(count):
        path = folder / f"{number:03d}-of-{split.classes[split.labels[number]]}.png"
        Image.fromarray(split.images[number, 0]).save(path)
        paths.append(path)
    return paths


def test_a_run_folder_is_complete_and_its_model_is_small(digits_run):
    assert sorted(path.name for path in digits_run.iterdir() if path.name != ".lock") == list(FILES)
    result = json.loads((digits_run / "result.json").read_text())
    assert (result["epochs"], result["params"], result["train_images"]) == (1, 666, 1293)
    assert 0 <= result["evaluation"]["top1"] <= result["evaluation"]["top5"] <= 1


def test_evaluate_gives_fractions_and_the_same_as_the_training_found(verydeep, digits_run):
    found = json.loads(verydeep("evaluate", digits_run, "--format", "json").out)
    assert found == json.loads((digits_run / "result.json").read_text())["evaluation"]
    assert 0 <= found["top1"] <= found["top5"] <= 1
    for format in ("text", "markdown"):
        text = verydeep("evaluate", digits_run, "--format", format).out
        assert f"top-1 {found['top1']:.4f}, top-5 {found['top5']:.4f} (micro, over 360 images)" in text


def test_evaluate_and_predict_say_which_engine_ran(verydeep, refused, digits_run, in_an_empty_folder):
    write_digits(in_an_empty_folder, count=1)
    for words in (("evaluate", digits_run), ("predict", digits_run, ".")):
        asked = verydeep(*words, "--engine", "pytorch")
        assert re.fullmatch(r"engine: pytorch float32, \d+ threads?\n", asked.err)
        assert (
            json.loads(verydeep(*words, "--engine", "pytorch", "--format", "json").out)["engine"] == "pytorch float32"
        )
        assert verydeep(*words).err.startswith("engine: ")
        assert "--engine" in refused(*words, "--engine", "onnx", code=2)


def test_evaluate_writes_to_a_file_and_knows_three_splits(verydeep, digits_run, in_an_empty_folder):
    assert verydeep("evaluate", digits_run, "--split", "train", "--format", "json", "--out", "a.json").out == ""
    assert json.loads((in_an_empty_folder / "a.json").read_text())["count"] == 1437
    assert json.loads(verydeep("evaluate", digits_run, "--split", "validation", "--format", "json").out)["count"] == 144


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["evaluate", "nowhere"], 2, "nowhere is no run: it has no config.yaml. Name a folder that `verydeep train`"),
        (["evaluate", "{run}", "--batch", "0"], 2, "batch must be 1 or more, got 0"),
        (["evaluate", "{run}", "--batch", "-5"], 2, "batch must be 1 or more, got -5"),
        (["evaluate", "{run}", "--batch", "2.5"], 2, "Invalid value for --batch: '2.5' is not a whole number"),
        (["evaluate", "{run}", "--device", "tpu"], 2, "device 'tpu' is not here"),
        (["evaluate", "{run}", "digts"], 2, "Did you mean digits?"),
        (["evaluate", "{run}", "nowhere/x"], 3, "searched in nowhere/x"),
        (["evaluate", "{run}", "mnist"], 3, "is missing; searched in"),
        (["predict", "nowhere", "a.png"], 2, "nowhere is no run"),
        (["predict", "{run}"], 3, "no images are given. Name files, folders or patterns"),
        (["predict", "{run}", "missing.png"], 3, "missing.png matches no image file"),
        (["predict", "{run}", "http://example.org/a.png"], 2, "is a URL, and images are read from files only"),
        (["predict", "{run}", "-"], 2, "Unknown option: -."),
        (["predict", "{run}", "a.png", "--top", "0"], 2, "top must be 1 or more, got 0"),
        (["report", "nowhere"], 2, "nowhere is no run"),
        (["report", "{run}", "--device", "tpu"], 2, "device 'tpu' is not here"),
        (["resume", "nowhere"], 2, "nowhere is no run: it has no config.yaml. Begin one with `verydeep train`."),
        (["resume", "{run}", "--epochs", "0"], 2, "epochs is 0: it should be greater than or equal to 1"),
        (["resume", "{run}", "--epochs", "1.5"], 2, "Invalid value for --epochs: '1.5' is not a whole number"),
        (["resume", "{run}", "--device", "tpu"], 2, "device 'tpu' is not here"),
    ],
)
def test_what_cannot_be_done_with_a_run_is_refused_and_the_run_stays(refused, digits_run, words, code, said):
    before = contents(digits_run)
    assert said in refused(*(word.replace("{run}", str(digits_run)) for word in words), code=code)
    assert contents(digits_run) == before


def test_a_broken_file_among_images_is_marked_and_the_others_are_done(verydeep, digits_run, in_an_empty_folder):
    paths = [path.name for path in write_digits(in_an_empty_folder, count=3)]
    (in_an_empty_folder / "001-broken.png").write_bytes(Path(paths[0]).read_bytes()[:60])
    done = verydeep("predict", digits_run, "*.png", "--format", "json", "--top", "2")
    assert done.code == 3
    assert done.err.count("\n") == 1
    assert "1 of 4 images could not be read, the first: " in done.err
    assert "001-broken.png" in done.err
    predictions = {entry["path"]: entry for entry in json.loads(done.out)["predictions"]}
    assert sorted(predictions) == sorted([*paths, "001-broken.png"])
    for path in paths:
        assert predictions[path]["error"] is None
        first, second = predictions[path]["classes"]
        assert 1 >= first["confidence"] >= second["confidence"] >= 0
    assert predictions["001-broken.png"]["classes"] == []
    text = verydeep("predict", digits_run, "*.png")
    assert (text.code, text.out.count("unreadable")) == (3, 1)
    rows = list(
        csv.DictReader(verydeep("predict", digits_run, *paths, "--format", "csv", "--top", "1").out.splitlines())
    )
    assert [row["path"] for row in rows] == paths
    assert [row["class"] for row in rows] == [predictions[path]["classes"][0]["class"] for path in paths]


def test_predictions_of_the_test_images_count_up_to_the_accuracy(verydeep, digits_run, in_an_empty_folder):
    write_digits(in_an_empty_folder, count=360)
    predictions = json.loads(verydeep("predict", digits_run, ".", "--format", "json").out)["predictions"]
    right = sum(entry["classes"][0]["class"] == Path(entry["path"]).stem[-1] for entry in predictions)
    assert right / 360 == json.loads((digits_run / "result.json").read_text())["evaluation"]["top1"]


def test_the_report_is_written_again_to_the_same_file(verydeep, digits_run, in_an_empty_folder):
    run = shutil.copytree(digits_run, in_an_empty_folder / "run")
    written = (run / "report.html").read_bytes()
    (run / "report.html").unlink()
    done = verydeep("report", "run")
    assert (done.code, done.out) == (0, "run/report.html\n")
    assert (run / "report.html").read_bytes() == written


def test_a_damaged_model_has_exit_code_4(refused, digits_run, tmp_path):
    run = shutil.copytree(digits_run, tmp_path / "run")
    (run / "model.safetensors").write_bytes((run / "model.safetensors").read_bytes()[:-7])
    for verb in ("evaluate", "report"):
        assert "model.safetensors" in refused(verb, run, code=4)


# Going on


def test_resuming_a_finished_run_changes_nothing_and_says_where_it_stands(verydeep, digits_run, tmp_path):
    run = shutil.copytree(digits_run, tmp_path / "run")
    before = contents(run)
    done = verydeep("resume", run)
    assert done.code == 0
    assert contents(run) == before
    assert "trained already, 1 epochs; the results are written again (more: --epochs N)" in done.err
    assert "test top-1 " in done.err


def test_more_epochs_go_on_where_the_run_ended(verydeep, digits_run, tmp_path):
    run = shutil.copytree(digits_run, tmp_path / "run")
    done = verydeep("resume", run, "--epochs", 2)
    assert done.code == 0, done.err
    assert "epochs: 1 -> 2" in done.err
    lines = (run / "metrics.jsonl").read_text().splitlines()
    assert lines[0] == (digits_run / "metrics.jsonl").read_text().splitlines()[0]
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2]


def start(*words: object) -> subprocess.Popen[str]:
    """Starts the command in a process of its own."""
    return subprocess.Popen(
        command(*words), env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def wait_for(found: Callable[[], object]) -> None:
    """Until something is there."""
    until = time.monotonic() + 120
    while not found():
        assert time.monotonic() < until, "nothing came"
        time.sleep(0.01)


def rows(run: Path) -> list[str]:
    """The lines of a run's metrics, one for each epoch so far."""
    return (run / "metrics.jsonl").read_text().splitlines() if (run / "metrics.jsonl").is_file() else []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_what_has_nothing_to_save_with_one_line(verydeep, tmp_path, number):
    run = tmp_path / "run"
    verydeep("train", *TINY, "--epochs", 1, "--out", run)
    evaluating = start("evaluate", run, "--protocol", "multi-crop", "--scales", 5000)
    time.sleep(3)
    evaluating.send_signal(number)
    _, said = evaluating.communicate(timeout=60)
    assert evaluating.returncode == 128 + number
    assert said.splitlines() == [
        f"verydeep: error[INTERRUPTED]: stopped by {number.name}. Nothing is left half done: call it again."
    ]


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), pytest.param(signal.SIGHUP, 129, marks=pytest.mark.slow)],
)
def test_a_signal_saves_the_run_and_says_how_to_go_on(verydeep, refused, tmp_path, number, code):
    run = tmp_path / "my run"
    training = start("train", *TINY, "--epochs", 1000, "--out", run)
    wait_for(lambda: rows(run))
    # Meanwhile nobody else may train in this folder.
    assert f"is in use by process {training.pid} on " in refused("resume", run)
    training.send_signal(number)
    _, said = training.communicate(timeout=60)
    assert training.returncode == code
    last = said.splitlines()[-1]
    assert last.startswith(f"verydeep: error[INTERRUPTED]: stopped by {number.name}")
    assert last.endswith(f"verydeep resume '{run}'")
    assert "Traceback" not in said
    assert not (run / "model.safetensors").exists()
    done = verydeep("resume", run, "--epochs", len(rows(run)) + 1)
    assert done.code == 0, done.err
    assert "going on after step" in done.err
    assert (run / "model.safetensors").exists()


def killed(run: Path, *, kills: int, seed: int) -> int:
    """Trains with kill -9 at random moments, and resumes after each but the last; how many kills there were."""
    moments, training = random.Random(seed), start("train", *TINY, *LONG, "--out", run)
    for done in range(kills):
        before = checkpoints(run)
        wait_for(lambda training=training, before=before: training.poll() is not None or checkpoints(run) != before)
        time.sleep(moments.random() * 0.2)
        training.kill()
        training.communicate()
        if training.returncode == 0:
            return done
        if done < kills - 1:
            training = start("resume", run)
    return kills


def checkpoints(run: Path) -> list[Path]:
    """Those that are complete."""
    return sorted(run.glob("checkpoints/step-*"))


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory, process):
    """What the run ends with that nobody kills."""
    run = tmp_path_factory.mktemp("uninterrupted") / "run"
    assert process("train", *TINY, *LONG, "--out", run).code == 0
    return outcome(run)


def test_a_run_killed_three_times_ends_with_the_same_bits(process, tmp_path, uninterrupted):
    run = tmp_path / "run"
    assert killed(run, kills=3, seed=1) == 3
    assert process("resume", run).code == 0
    assert outcome(run) == uninterrupted


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10, 15))
def test_a_run_killed_ten_times_ends_with_the_same_bits(process, tmp_path, uninterrupted, seed):
    run = tmp_path / "run"
    assert killed(run, kills=10, seed=seed) > 2
    assert process("resume", run).code == 0
    assert outcome(run) == uninterrupted


@pytest.mark.slow
def test_another_seed_ends_with_other_bits(process, tmp_path, uninterrupted):
    run = tmp_path / "run"
    assert process("train", *TINY, *LONG, "--seed", 1, "--out", run).code == 0
    assert outcome(run) != uninterrupted


def test_progress_fits_a_line_of_80_letters(capfd):
    shown = Terminal()
    shown.begin(title="a title", steps=3, done=0)
    row = {"epoch": 123, "train_loss": 123.45678, "train_top1": 1.0, "val_loss": 1234.5, "val_top1": 0.5}
    shown.epoch(row, seconds=1234.56, images_per_second=98_765.4)
    shown.epoch(row | {"val_loss": None, "val_top1": None}, seconds=1.0, images_per_second=9.0)
    title, head, first, second = capfd.readouterr().err.splitlines()
    assert title == "a title"
    assert head.split() == ["epoch", "train", "loss", "top-1", "val", "loss", "top-1", "seconds", "images/s"]
    assert first.split() == ["123", "123.4568", "1.0000", "1234.5000", "0.5000", "1234.6", "98,765"]
    assert second.split() == ["123", "123.4568", "1.0000", "-", "-", "1.0", "9"]
    assert len(head) == len(first) == len(second) < 80


def test_progress_whose_reader_has_gone_away_is_dropped(monkeypatch):
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w", buffering=1) as nobody:
        monkeypatch.setattr("sys.stderr", nobody)
        shown = Terminal()
        shown.begin(title="a title", steps=3, done=0)
        shown.note("a note")
        shown.end()


@pytest.mark.slow
def test_a_reader_that_goes_away_does_not_stop_a_training(tmp_path):
    run = tmp_path / "run"
    training = start("train", *TINY, "--epochs", 1, "--out", run)
    assert training.stderr is not None
    training.stderr.readline()
    training.stderr.close()
    assert training.wait(timeout=120) == 0
    assert (run / "report.html").is_file()


# Classes are matched by name (DAT-05)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory) -> Path:
    """A folder of 160 digits of four classes, train and test, and a run trained on it, in `run`."""
    home = tmp_path_factory.mktemp("photographs")
    split = digits.load(split="train", root=Path(), download=False)
    for label, name in enumerate(("zero", "one", "two", "three")):
        for place, indices in (("train", slice(0, 30)), ("test", slice(30, 40))):
            folder = home / "data" / place / name
            folder.mkdir(parents=True)
            for index in np.flatnonzero(split.labels == label)[indices]:
                Image.fromarray(split.images[index, 0]).save(folder / f"{index}.png")
    words = ("--size", 8, "--arch", "1x8,1x16", "--batch-norm", "--fc", 0, "--epochs", 10, "--batch", 24, "--no-flip")
    with pytest.raises(SystemExit, match="0"):
        main([str(word) for word in ("train", home / "data", *words, *ALONE, "--out", home / "run")])
    return home


def test_a_folder_of_other_classes_in_another_order_is_scored_by_name(verydeep, photographs, in_an_empty_folder):
    # In the run "one three two zero" are 0 1 2 3; here "two" and "zero" alone would be 0 and 1.
    for name in ("two", "zero"):
        shutil.copytree(photographs / "data" / "test" / name, in_an_empty_folder / "data" / name)
    found = json.loads(verydeep("evaluate", photographs / "run", "data", "--format", "json").out)
    predictions = json.loads(verydeep("predict", photographs / "run", "data", "--format", "json").out)["predictions"]
    right = [entry["classes"][0]["class"] == Path(entry["path"]).parent.name for entry in predictions]
    assert found["count"] == len(right) == 20
    assert found["top1"] == sum(right) / 20 > 0.6
    assert {entry["name"]: entry["support"] for entry in found["per_class"]} == {
        "one": 0,
        "three": 0,
        "two": 10,
        "zero": 10,
    }


def test_a_class_that_the_network_does_not_know_has_exit_code_3_and_is_named(refused, photographs, tmp_path):
    data = shutil.copytree(photographs / "data" / "test", tmp_path / "data")
    (data / "one").rename(data / "eleven")
    line = refused("evaluate", photographs / "run", data, code=3)
    assert "classes that the model does not know: 'eleven'; classes of the model without data: 'one'" in line


def test_the_folder_itself_is_scored_on_its_test_images(verydeep, photographs):
    found = json.loads(verydeep("evaluate", photographs / "run", "--format", "json").out)
    assert found["count"] == 40
    assert found == json.loads((photographs / "run" / "result.json").read_text())["evaluation"]


def test_training_images_are_never_taken_for_new_ones(refused, verydeep, photographs, tmp_path):
    data = shutil.copytree(photographs / "data" / "train", tmp_path / "data")
    words = ("--size", 8, "--arch", "1x4", "--fc", 0, "--epochs", 1, "--val", 0.2)
    assert verydeep("train", data, *words, *ALONE, "--out", tmp_path / "run").code == 0
    assert json.loads((tmp_path / "run" / "result.json").read_text())["split"] == "validation"
    assert "has no test images" in refused("evaluate", tmp_path / "run", code=3)
    assert "--split validation" in refused("evaluate", tmp_path / "run", data, code=3)
    held_out = json.loads(verydeep("evaluate", tmp_path / "run", "--split", "validation", "--format", "json").out)
    assert held_out == json.loads((tmp_path / "run" / "result.json").read_text())["evaluation"]
    assert held_out["count"] == 24
    assert verydeep("report", tmp_path / "run").code == 0


def test_the_variable_comes_before_the_place_that_a_run_remembers(refused, digits_run, tmp_path, monkeypatch):
    run = shutil.copytree(digits_run, tmp_path / "run")
    config = (run / "config.yaml").read_text().replace("data_root: null", "data_root: /then")
    (run / "config.yaml").write_text(config)
    assert "searched in /then/mnist" in refused("evaluate", run, "mnist", code=3)
    monkeypatch.setenv("VERYDEEP_DATA", "/now")
    assert "searched in /now/mnist" in refused("evaluate", run, "mnist", code=3)
    assert "searched in /here/mnist" in refused("evaluate", run, "mnist", "--data-root", "/here", code=3)
