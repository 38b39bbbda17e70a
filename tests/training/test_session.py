"""Whole runs: the same command gives the same bits, however often it is interrupted."""

import json
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.training.tiny import Recorder, bits, tiny, trained
from verydeep.data import catalog
from verydeep.errors import ConfigError, DataError, NumericalError, VerydeepError, WeightsError
from verydeep.run import open_run
from verydeep.training import loop, session, step
from verydeep.training.session import resume, train
from verydeep.training.signals import Interrupted


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An uninterrupted run with an average, the best weights and clipping."""
    return trained(tmp_path_factory.mktemp("whole") / "run", ema=0.9, patience=5, clip=1.0)


@pytest.fixture
def photographs(tmp_path):
    """A folder data set of digits: train/a, train/b (30 files each) and val/a, val/b (10 each)."""
    split = catalog.load("digits", split="train")
    for number, name in enumerate("ab"):
        own = split.images[split.labels == number]
        for part, images in (("train", own[:30]), ("val", own[30:40])):
            folder = tmp_path / "photographs" / part / name
            folder.mkdir(parents=True)
            for index, image in enumerate(images):
                Image.fromarray(image[0]).resize((12, 10)).save(folder / f"{index}.png")
    return tmp_path / "photographs"


SAME = {"ema": 0.9, "patience": 5, "clip": 1.0}


def test_a_run_folder_holds_what_the_readme_says(whole):
    found = {path.name for path in whole.path.iterdir()}
    assert found >= {
        "config.yaml",
        "network.json",
        "environment.json",
        "metrics.jsonl",
        "metrics.csv",
        "checkpoints",
        "model.safetensors",
        "result.json",
        "curves.svg",
        "confusion.svg",
        "report.html",
        "MODEL_CARD.md",
    }
    assert whole.result["evaluation"]["count"] == 360
    assert len(whole.history) == 2
    assert whole.classes == tuple("0123456789")


def test_the_same_settings_give_the_same_bits(whole, tmp_path: Path):
    assert bits(trained(tmp_path / "again", **SAME)) == bits(whole)


def test_another_seed_gives_other_bits(whole, tmp_path: Path):
    assert bits(trained(tmp_path / "other", **SAME, seed=1)) != bits(whole)


@pytest.mark.parametrize("at", [1, 7, 10, 13])
def test_a_run_stopped_by_a_signal_goes_on_to_the_same_bits(whole, tmp_path: Path, monkeypatch, at: int):
    _signal_after(at, signal.SIGTERM, monkeypatch)
    folder = tmp_path / "run"
    with pytest.raises(Interrupted) as caught:
        train(tiny(**SAME), out=folder, display=Recorder())
    assert caught.value.exit_code == 143
    assert str(folder) in caught.value.hint
    monkeypatch.undo()
    assert bits(resume(folder, {}, display=Recorder())) == bits(whole)


def test_a_run_interrupted_ten_times_in_an_epoch_ends_with_the_same_bits(whole, tmp_path: Path, monkeypatch):
    folder = tmp_path / "run"
    _signal_after(1, signal.SIGTERM, monkeypatch)
    with pytest.raises(Interrupted):
        train(tiny(**SAME), out=folder, display=Recorder())
    for _ in range(8):
        with pytest.raises(Interrupted):
            resume(folder, {}, display=Recorder())
    monkeypatch.undo()
    assert bits(resume(folder, {}, display=Recorder())) == bits(whole)


def test_a_resumed_run_without_the_optimisers_state_would_differ(whole, tmp_path: Path, monkeypatch):
    _signal_after(7, signal.SIGTERM, monkeypatch)
    folder = tmp_path / "run"
    with pytest.raises(Interrupted):
        train(tiny(**SAME), out=folder, display=Recorder())
    monkeypatch.undo()
    monkeypatch.setattr("verydeep.training.trainee.restore", lambda *arguments: None)
    assert bits(resume(folder, {}, display=Recorder())) != bits(whole)


def test_a_run_killed_while_it_was_written_up_is_finished_by_resume(whole, tmp_path: Path, monkeypatch):
    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(session, "finish", _killed)
        with pytest.raises(KeyboardInterrupt):
            train(tiny(**SAME), out=folder, display=Recorder())
    with pytest.raises(ConfigError, match="verydeep resume"):
        open_run(folder)
    assert bits(resume(folder, {}, display=Recorder())) == bits(whole)


def test_a_run_killed_before_its_first_checkpoint_begins_again(whole, tmp_path: Path, monkeypatch):
    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(session, "run_epochs", _killed)
        with pytest.raises(KeyboardInterrupt):
            train(tiny(**SAME), out=folder, display=Recorder())
    assert bits(resume(folder, {}, display=Recorder())) == bits(whole)


VARIANTS = {
    "plateau": {"schedule": "plateau", "plateau": 1, "val": 0.2},
    "pieces": {"accumulate": 3, "smoothing": 0.1},
    "bf16": {"precision": "bf16", "layout": "channels_first"},
    "adamw": {"optimizer": "adamw", "lr": 1e-3, "decayed": "matrices", "ema": 0.5},
    "sprint": {
        "lookahead": 3,
        "turns": "alternating",
        "border": "mirrored",
        "norm_bias_rate": 4.0,
        "norm_scale": "one",
        "logit_scale": 0.5,
        "init": "identity",
        "nesterov": True,
        "schedule": "one-cycle",
        "rise_from": 0.2,
        "fall_to": 0.1,
    },
    "colour": {"normalize": "mean", "crop": "random-size", "size": 7},
}


@pytest.mark.parametrize("name", VARIANTS)
def test_every_kind_of_training_goes_on_to_the_same_bits(name: str, tmp_path: Path, monkeypatch):
    options = {**VARIANTS[name], "epochs": 3}
    whole = trained(tmp_path / "whole", **options)
    _signal_after(14, signal.SIGTERM, monkeypatch)
    with pytest.raises(Interrupted):
        trained(tmp_path / "stopped", **options)
    monkeypatch.undo()
    assert bits(resume(tmp_path / "stopped", {}, display=Recorder())) == bits(whole)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_on_files_goes_on_to_the_same_bits_with_any_number_of_workers(
    workers: int, photographs: Path, tmp_path: Path, monkeypatch
):
    options = {"data": str(photographs), "size": 8, "scale": (8, 12), "color": 0.1, "batch": 16, "epochs": 2}
    whole = trained(tmp_path / "whole", **options)
    _signal_after(5, signal.SIGTERM, monkeypatch)
    with pytest.raises(Interrupted):
        trained(tmp_path / "stopped", **options, workers=workers)
    monkeypatch.undo()
    assert bits(resume(tmp_path / "stopped", {}, display=Recorder())) == bits(whole)


def test_without_patience_the_last_weights_count_again(tmp_path: Path):
    folder = tmp_path / "run"
    trained(folder, schedule="constant", patience=5)
    longer = resume(folder, {"patience": 0, "epochs": 4}, display=Recorder())
    straight = trained(tmp_path / "straight", schedule="constant", epochs=4)
    assert bits(longer) == bits(straight)


def test_patience_that_comes_later_begins_to_count_then(tmp_path: Path, monkeypatch):
    folder = tmp_path / "run"
    _validate_as(iter([0.9, 0.1, 0.2, 0.3, 0.1]), monkeypatch)
    trained(folder, schedule="constant")
    assert len(resume(folder, {"patience": 2, "epochs": 5}, display=Recorder()).history) == 5


def test_a_run_goes_on_without_the_run_that_it_was_grown_from(tmp_path: Path, monkeypatch):
    options = {"arch": None, "batch_norm": False, "width": 0.0625, "fc": (16, 16)}
    source = trained(tmp_path / "a", **options, net="A", epochs=1)
    whole = trained(tmp_path / "whole", **options, net="B", grow_from=source.path)
    _signal_after(7, signal.SIGTERM, monkeypatch)
    with pytest.raises(Interrupted):
        trained(tmp_path / "stopped", **options, net="B", grow_from=source.path)
    monkeypatch.undo()
    shutil.rmtree(source.path)
    assert bits(resume(tmp_path / "stopped", {}, display=Recorder())) == bits(whole)


@pytest.mark.parametrize("name", ["environment.json", "network.json", "result.json", "metrics.jsonl"])
def test_a_damaged_file_of_a_run_is_named(name: str, tmp_path: Path):
    run = trained(tmp_path / "run", epochs=1)
    (run.path / name).write_text("{")
    with pytest.raises(VerydeepError, match=name) as caught:
        if name in ("environment.json", "network.json"):
            resume(run.path, {}, display=Recorder())
        open_run(run.path)
    assert caught.value.exit_code in (2, 4)


def test_a_run_begun_with_relative_paths_goes_on_from_any_folder(photographs: Path, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(photographs.parent)
    trained(tmp_path / "run", data="photographs", size=8, epochs=1)
    monkeypatch.chdir("/")
    assert len(resume(tmp_path / "run", {"epochs": 2}, display=Recorder()).history) == 2


def test_more_epochs_may_be_asked_for(tmp_path: Path):
    folder = tmp_path / "run"
    trained(folder, schedule="constant")
    shown = Recorder()
    longer = resume(folder, {"epochs": 3}, display=shown)
    assert len(longer.history) == 3
    assert "epochs: 2 -> 3" in shown.notes
    assert bits(longer) == bits(trained(tmp_path / "straight", schedule="constant", epochs=3))


def test_a_change_that_makes_another_run_is_refused_and_shown(whole):
    with pytest.raises(ConfigError, match=r"lr: 0.05 -> 0.1; batch: 130 -> 64 would be another run"):
        resume(whole.path, {"lr": 0.1, "batch": 64}, display=Recorder())


def test_changed_images_are_refused_with_counts_and_accepted_once_when_asked(photographs: Path, tmp_path: Path):
    folder, options = tmp_path / "run", {"data": str(photographs), "size": 8, "epochs": 1}
    trained(folder, **options)
    next((photographs / "train" / "a").iterdir()).unlink()
    with pytest.raises(DataError, match="60 then, 59 now") as caught:
        resume(folder, {"epochs": 2}, display=Recorder())
    assert caught.value.code == "DATA-CHANGED"
    resume(folder, {"epochs": 2}, allow_data_change=True, display=Recorder())
    next((photographs / "train" / "b").iterdir()).unlink()
    with pytest.raises(DataError, match="59 then, 58 now"):
        resume(folder, {"epochs": 3}, display=Recorder())


def test_other_classes_are_refused_naming_the_difference(photographs: Path, tmp_path: Path):
    folder = tmp_path / "run"
    trained(folder, data=str(photographs), size=8, epochs=1)
    (photographs / "train" / "a").rename(photographs / "train" / "z")
    (photographs / "val" / "a").rename(photographs / "val" / "z")
    with pytest.raises(WeightsError, match=r"gone \['a'\], new \['z'\]"):
        resume(folder, {"epochs": 2}, allow_data_change=True, display=Recorder())


def test_bad_images_of_both_splits_are_found_before_the_first_step(photographs: Path, tmp_path: Path):
    victim = next((photographs / "val" / "b").iterdir())
    victim.write_bytes(victim.read_bytes()[:60])
    shown = Recorder()
    with pytest.raises(DataError, match=str(victim)) as caught:
        train(tiny(data=str(photographs), size=8), out=tmp_path / "refused", display=shown)
    assert caught.value.code == "DATA-BAD-IMAGES"
    assert shown.steps == 0
    run = train(tiny(data=str(photographs), size=8, bad_images="skip"), out=tmp_path / "skipped", display=shown)
    assert run.result["evaluation"]["count"] == 19
    assert any("1 unreadable images are left out" in note for note in shown.notes)


def test_images_are_decoded_for_the_check_once_and_not_again_on_resume(photographs: Path, tmp_path: Path, monkeypatch):
    folder = tmp_path / "run"
    trained(folder, data=str(photographs), size=8, epochs=1)
    monkeypatch.setattr("verydeep.training.prepare.usable", _killed)
    assert len(resume(folder, {"epochs": 2}, display=Recorder()).history) == 2


def test_a_folder_that_holds_something_is_never_written_over(tmp_path: Path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ConfigError, match="is not empty"):
        train(tiny(), out=tmp_path, display=Recorder())
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_runs_without_a_name_are_numbered(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run-001").mkdir()
    assert train(tiny(epochs=1), display=Recorder()).path == Path("run-002")


def test_a_step_that_is_not_finite_changes_no_weight_and_leaves_the_last_checkpoint(tmp_path: Path, monkeypatch):
    folder = tmp_path / "run"
    _poison_after(5, monkeypatch)
    with pytest.raises(NumericalError) as caught:
        train(tiny(checkpoint_every=2), out=folder, display=Recorder())
    assert (caught.value.code, caught.value.exit_code) == ("TRAIN-NONFINITE", 5)
    assert "step 6: " in caught.value.message
    assert "images" in caught.value.message
    steps = sorted(path.name for path in (folder / "checkpoints").glob("step-*"))
    assert steps == ["step-00000002", "step-00000004"]


def test_a_loss_that_sits_at_that_of_guessing_gets_a_plain_word(tmp_path: Path):
    shown = Recorder()
    train(tiny(lr=1e-9, init="caffe", batch_norm=False, epochs=1), out=tmp_path / "run", display=shown)
    assert any("ln(10) = 2.303" in note and "--grow-from" in note for note in shown.notes)
    learned = Recorder()
    train(tiny(epochs=1), out=tmp_path / "other", display=learned)
    assert not any("ln(10)" in note for note in learned.notes)


def test_early_stopping_keeps_the_best_weights(tmp_path: Path, monkeypatch):
    accuracies = iter([0.3, 0.5, 0.4, 0.4, 0.4, 0.4])
    _validate_as(accuracies, monkeypatch)
    kept: list[dict[str, Any]] = []
    monkeypatch.setattr(
        "verydeep.training.trainee.Trainee.keep_as_best", _watched(loop.Trainee.keep_as_best, kept), raising=True
    )
    run = train(tiny(epochs=6, patience=2), out=tmp_path / "run", display=Recorder())
    assert len(run.history) == 4
    assert len(kept) == 2
    assert all(np.array_equal(run.weights[name], kept[1][name]) for name in run.weights)


def test_a_run_grown_from_net_a_begins_with_its_layers(tmp_path: Path):
    options = {"arch": None, "batch_norm": False, "width": 0.0625, "epochs": 1, "fc": (16, 16)}
    shallow = trained(tmp_path / "a", **options, net="A")
    deep = tiny(**options, net="D", grow_from=shallow.path)
    from verydeep.processes import Processes
    from verydeep.training.prepare import first_weights, prepare

    network = prepare(deep, Processes(torch.device("cpu"))).network
    arrays = first_weights(deep, network)
    for name in ("conv1_1", "conv2_1", "conv3_1", "conv3_2", "fc6", "fc7", "fc8"):
        assert np.array_equal(arrays[f"{name}.weight"], shallow.weights[f"{name}.weight"])
    assert not np.array_equal(arrays["conv4_1.weight"], shallow.weights["conv4_1.weight"])


def test_nothing_is_taken_from_the_test_images_for_training(whole, tmp_path: Path, monkeypatch):
    load = catalog.load

    def other_test_images(name: str, *, split: str, **options: Any) -> Any:
        found = load(name, split=split, **options)
        return replace(found, images=255 - found.images, labels=found.labels[::-1].copy()) if split == "test" else found

    monkeypatch.setattr(catalog, "load", other_test_images)
    run = trained(tmp_path / "run", **SAME)
    assert bits(run) == bits(whole)
    assert run.result["evaluation"] != whole.result["evaluation"]


def test_the_environment_of_a_run_names_no_person_and_no_place(whole):
    text = (whole.path / "environment.json").read_text()
    assert json.loads(text)["packages"]["torch"] == torch.__version__.split("+")[0]
    for private in (os.environ.get("HOME", "/root"), os.uname().nodename):
        assert private not in text


def _signal_after(steps: int, number: int, monkeypatch) -> None:
    """Send this process a signal after every `steps` steps."""
    taken = step.take_step
    count = 0

    def take(*arguments: Any, **options: Any) -> Any:
        nonlocal count
        count += 1
        outcome = taken(*arguments, **options)
        if count % steps == 0:
            os.kill(os.getpid(), number)
        return outcome

    monkeypatch.setattr(loop, "take_step", take)


def _poison_after(steps: int, monkeypatch) -> None:
    taken = step.take_step

    def take(model: Any, batch: Any, *arguments: Any, **options: Any) -> Any:
        if options["step"] == steps:
            batch.images[0] = float("nan")
        return taken(model, batch, *arguments, **options)

    monkeypatch.setattr(loop, "take_step", take)


def _validate_as(accuracies: Any, monkeypatch) -> None:
    measure = loop.measure

    def measured(*arguments: Any, **options: Any) -> Any:
        return replace(measure(*arguments, **options), top1=next(accuracies))

    monkeypatch.setattr(loop, "measure", measured)


def _watched(keep: Any, kept: list[dict[str, Any]]) -> Any:
    def watched(self: Any) -> None:
        keep(self)
        kept.append({name: tensor.numpy().copy() for name, tensor in self.best.items()})

    return watched


def _killed(*arguments: Any, **options: Any) -> None:
    raise KeyboardInterrupt
