"""A whole reproduction, tiny: interrupted, gone on with, repeated, and refused where it would mix two."""

import json
import os
import re
import shutil
import signal
import threading
import weakref
from dataclasses import replace
from pathlib import Path
from time import sleep

import numpy as np
import pytest
import yaml
from PIL import Image

from tests.reproduce.tiny import ONE, TINY, tiny
from verydeep.data.split import take
from verydeep.durable import free_bytes
from verydeep.errors import ConfigError, DataError, NumericalError, ResourceError, VerydeepError
from verydeep.evaluation.metrics import Member
from verydeep.evaluation.posteriors import Posteriors, posteriors
from verydeep.evaluation.protocol import protocol_for
from verydeep.reproduce import (
    conduct,
    document,
    outcome,
    pass_task,
    published,
    reproduce,
    table_document,
    training_task,
)
from verydeep.reproduce.claims import Claim
from verydeep.reproduce.declared import JITTERED, Experiment, Trained
from verydeep.reproduce.experiments import Pass, Training, Wanted, passes
from verydeep.reproduce.progress import Brief
from verydeep.reproduce.request import Request, with_choices
from verydeep.reproduce.scales import Scale
from verydeep.run import open_run, read_record
from verydeep.training.display import Silent
from verydeep.training.session import train
from verydeep.training.signals import Interrupted

A, B = Trained("A"), Trained("B")
DRAWN = [6, 3, 2, 1, 3, 5, 0, 4, 4, 0, 6, 6]  # labels of the first test images
SMALL = published.Table(
    "table3",
    "Table 3: two nets",
    (
        published.Row(Experiment((A,)), 29.6, 10.4),
        published.Row(Experiment((B,), "both"), 28.7, 9.9),
        published.Row(None, None, None, 6.7, label="another | net"),
    ),
)
CLAIMS = (
    Claim("depth", "B errs less than A", "4.1", (Experiment((A,)),), Experiment((B,)), 0.9),
    Claim("no depth", "A errs less than B", "4.1", (Experiment((B,)),), Experiment((A,)), -0.9),
)


@pytest.fixture(autouse=True)
def small_tables(monkeypatch):
    """Table 3 of two networks, and two claims about them."""
    monkeypatch.setitem(published.TABLES, "table3", SMALL)
    monkeypatch.setattr(reproduce, "CLAIMS", CLAIMS)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A folder in which table 3 is finished for two seeds; tests copy it."""
    folder = tmp_path_factory.mktemp("reproduced") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(published.TABLES, "table3", SMALL)
        command = f"verydeep reproduce table3 --data-root={folder.parent} --out {folder} --keep {folder / 'kept'}"
        reproduce.reproduce("table3", tiny(folder), command=command, kept=folder / "kept")
    return folder


@pytest.fixture
def counted(monkeypatch) -> list[str]:
    """What is begun or gone on with, by name."""
    found: list[str] = []
    for name in ("train", "resume"):
        original = getattr(training_task, name)

        def call(*given, name=name, original=original, **named):
            found.append(f"{name} {named.get('out', given[0] if name == 'resume' else None).name}")
            return original(*given, **named)

        monkeypatch.setattr(training_task, name, call)
    original_pass = pass_task.posteriors

    def call_pass(run, *given, **named):
        found.append(f"pass {run.path.name}")
        return original_pass(run, *given, **named)

    monkeypatch.setattr(pass_task, "posteriors", call_pass)
    return found


def test_a_table_has_the_papers_figures_and_ours(finished: Path, golden):
    text = (finished / "table3.md").read_text()
    table, _, notes = text.partition("\n- ")
    golden("reproduced_table3.md", re.sub(r"\d+\.\d\d \S \d+\.\d\d", "MEAN ± SPREAD", table))
    assert "n = 2 (seeds), 20 test images" in notes
    assert "command: verydeep reproduce table3 --data-root=DIR --out DIR --keep DIR" in notes
    assert (finished / "table3.html").read_text().count("<tr>") == 4


def test_averaged_passes_are_the_protocol_itself(finished: Path, monkeypatch):
    """Three scales, crops and dense, in one call of `posteriors`."""
    request = tiny(finished, crop_images=20)
    jittered = Trained("B", JITTERED)
    run = open_run(Training(B, 0).folder(finished, request.scale))
    monkeypatch.setattr(Training, "folder", lambda *_: run.path)
    three = passes(Experiment((jittered,), "both", "three"), seed=0, scale=request.scale)
    monkeypatch.setattr(Pass, "folder", lambda *_: finished / "three")
    for one in three:
        pass_task.conduct(Wanted(one, 20), request)
    images = take(pass_task._test_images(pass_task._Key(run, None)), range(20))
    whole = posteriors(run, images, protocol=protocol_for(run, "both", scales=(8, 12, 16), flip=False), device="cpu")
    assert np.array_equal(pass_task.fused(three, request, images=20).labels, whole.labels)
    assert np.abs(pass_task.fused(three, request, images=20).array - whole.array).max() < 1e-12


def test_test_images_are_of_all_classes_and_always_the_same(finished: Path):
    run = open_run(Training(B, 0).folder(finished, tiny(finished).scale))
    drawn = pass_task._test_images(pass_task._Key(run, None))
    assert len(drawn) == 360
    assert drawn.labels[:12].tolist() == DRAWN
    assert np.bincount(drawn.labels[:60], minlength=10).min() >= 2


def test_nothing_is_done_twice(finished: Path, counted: list[str], tmp_path: Path):
    folder = shutil.copytree(finished, tmp_path / "out")
    again = reproduce.reproduce("table3", tiny(folder), command="again")
    assert counted == []
    before = json.loads((finished / "table3.json").read_text())
    assert again.record["rows"] == before["rows"]


def test_findings_take_the_runs_of_a_table(finished: Path, counted: list[str], tmp_path: Path):
    folder = shutil.copytree(finished, tmp_path / "out")
    found = reproduce.reproduce("findings", tiny(folder, seeds=3), command="")
    assert {line.split()[1] for line in counted if not line.startswith("pass")} == {"A-8-seed-2", "B-8-seed-2"}
    assert any("twice the epochs" in note for note in found.notes)
    assert any("1 + 1 + 1 epochs against 1" in note for note in found.notes)
    depth, opposite = found.record["findings"]
    assert depth["gain"] == [-gain for gain in opposite["gain"]]
    assert depth["over_seeds"]["mean"] == pytest.approx(-opposite["over_seeds"]["mean"], abs=1e-9)
    assert {depth["verdict"], opposite["verdict"]} in ({"undecided"}, {"held", "not held"})


def test_swapping_the_sides_turns_held_into_not_held(finished: Path, monkeypatch):
    right = {"A": [10, 12, 11], "B": [30, 33, 31]}
    _say(right, monkeypatch)
    depth, opposite = (outcome.judged(claim, tiny(finished, seeds=3)) for claim in CLAIMS)
    assert depth.differences == pytest.approx((50.0, 52.5, 50.0))
    assert (depth.verdict, opposite.verdict) == ("held", "not held")
    right["A"] = [4, 4, 3]
    guessing = outcome.judged(CLAIMS[0], tiny(finished, seeds=3))
    assert guessing.over_seeds.low > 0
    assert (guessing.verdict, guessing.guessing) == ("undecided", (0, 1, 2))


def test_seeds_and_images_both_have_to_agree(finished: Path, monkeypatch):
    _say({"A": [10, 20, 30], "B": [11, 22, 31]}, monkeypatch)
    found = outcome.judged(CLAIMS[0], tiny(finished, seeds=3))
    assert (found.over_seeds.low > 0, found.over_images.low > 0, found.verdict) == (False, True, "undecided")
    _say({"A": [29, 30, 28], "B": [30, 31, 29]}, monkeypatch)
    assert outcome.judged(CLAIMS[0], tiny(finished, seeds=3)).verdict == "undecided"  # all seeds differ by the same
    _say({"A": [30, 30, 30], "B": [32, 32, 33]}, monkeypatch)
    found = outcome.judged(CLAIMS[0], tiny(finished, seeds=3))
    assert (found.over_seeds.low > 0, found.over_images.low > 0, found.verdict) == (True, False, "undecided")


def test_of_two_rivals_the_better_one_of_each_seed_counts(finished: Path, monkeypatch):
    _say({"A": [10, 30, 20], "B": [25, 12, 21], "C": [31, 36, 30]}, monkeypatch)
    claim = replace(CLAIMS[0], worse=(Experiment((A,)), Experiment((B,))), better=Experiment((Trained("C"),)))
    found = outcome.judged(claim, tiny(finished, seeds=3))
    assert found.worse == pytest.approx((37.5, 25.0, 47.5))
    assert found.differences == pytest.approx((15.0, 15.0, 22.5))


def test_what_does_not_gain_holds_where_it_is_surely_no_better(finished: Path, monkeypatch):
    claim = replace(CLAIMS[0], says="does not gain")
    _say({"A": [30, 33, 31], "B": [20, 22, 21]}, monkeypatch)
    assert outcome.judged(claim, tiny(finished, seeds=3)).verdict == "held"
    _say({"A": [20, 22, 21], "B": [30, 33, 31]}, monkeypatch)
    assert outcome.judged(claim, tiny(finished, seeds=3)).verdict == "not held"
    _say({"A": [30, 30, 30], "B": [30, 33, 28]}, monkeypatch)
    assert outcome.judged(claim, tiny(finished, seeds=3)).verdict == "undecided"


@pytest.mark.parametrize("other", [("A", 0), ("A", 1), ("B", 0), ("B", 2)])
def test_errors_of_different_images_are_not_compared(other: tuple[str, int], finished: Path, monkeypatch):
    _say({"A": [10, 12, 11], "B": [30, 33, 31]}, monkeypatch, other=other)
    with pytest.raises(ConfigError, match="other images") as refused:
        outcome.judged(CLAIMS[0], tiny(finished, seeds=3))
    assert refused.value.code == "FUSE-IMAGES"
    with pytest.raises(ConfigError, match="other images"):
        outcome.measured(SMALL, tiny(finished, seeds=3))


def _say(right: dict[str, list[int]], monkeypatch, *, other: tuple[str, int] | None = None) -> None:
    """Make each net right for so many of forty images with each seed; one of them saw others."""
    labels = np.arange(40) % 10

    def found(tested, request, *, seed, images):
        net = tested.trained[0].net
        said = np.where(np.arange(40) < right[net][seed], labels, (labels + 1) % 10)
        seen = "others" if (net, seed) == other else "forty"
        member = Member(net, "dense", (8,), False)
        return Posteriors(np.eye(10)[said], labels, tuple("0123456789"), "none", seen, (member,))

    monkeypatch.setattr(outcome, "_posteriors", found)


def test_an_interrupted_training_goes_on_to_the_same_bits(counted: list[str], monkeypatch, tmp_path: Path):
    scale = _of_two_epochs(tiny(tmp_path).scale)
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    monkeypatch.setitem(published.TABLES, "table3", replace(SMALL, rows=SMALL.rows[:1]))
    reproduce.reproduce("table3", Request(scale, 1, whole, device="cpu"))
    counted.clear()
    with monkeypatch.context() as patch:
        patch.setattr(Brief, "epoch", lambda *_, **__: os.kill(os.getpid(), signal.SIGINT))
        with pytest.raises(Interrupted, match="the same command goes on"):
            reproduce.reproduce("table3", Request(scale, 1, stopped, device="cpu"))
    reproduce.reproduce("table3", Request(scale, 1, stopped, device="cpu"))
    assert counted == ["train A-8-seed-0", "resume A-8-seed-0", "pass A-8-seed-0"]
    model = "runs/A-8-seed-0/model.safetensors"
    assert (stopped / model).read_bytes() == (whole / model).read_bytes()


def test_a_run_with_other_settings_is_refused_and_the_difference_named(finished: Path, counted: list[str]):
    scale = _of_two_epochs(tiny(finished).scale)
    with pytest.raises(ConfigError, match=r"A-8-seed-0 is not the run .* epochs: 1 there, 2 wanted") as refused:
        reproduce.reproduce("table3", Request(scale, 2, finished, device="cpu"))
    assert refused.value.code == "REPRODUCE-OTHER"
    assert counted == []


def test_a_folder_of_something_else_is_refused(tmp_path: Path):
    folder = tmp_path / "runs" / "A-8-seed-0"
    folder.mkdir(parents=True)
    (folder / "thesis.tex").write_text("")
    with pytest.raises(ConfigError, match="something else than a run"):
        reproduce.reproduce("table3", tiny(tmp_path))
    assert (folder / "thesis.tex").exists()


def test_a_run_killed_as_it_began_is_begun_again(tmp_path: Path):
    folder = tmp_path / "runs" / "A-8-seed-0"
    folder.mkdir(parents=True)
    (folder / "environment.json").write_text("{}")
    assert training_task.state(Training(A, 0), tiny(tmp_path)) == "new"


def test_a_pass_of_a_run_that_was_trained_anew_is_computed_anew(finished: Path, counted: list[str], tmp_path: Path):
    folder = shutil.copytree(finished, tmp_path / "out")
    shutil.rmtree(folder / "runs" / "B-8-seed-1")
    training_task.conduct(Training(B, 1), tiny(folder), display=Silent())
    reproduce.reproduce("table3", tiny(folder))
    assert counted == ["train B-8-seed-1", "pass B-8-seed-1", "pass B-8-seed-1"]


def test_a_pass_whose_record_says_something_else_is_computed_anew(finished: Path, counted: list[str], tmp_path: Path):
    folder = shutil.copytree(finished, tmp_path / "out")
    (record,) = (folder / "evaluations" / "A-8-seed-0").glob("*.json")
    record.write_text(record.read_text().replace('"seconds"', '"minutes"'))
    reproduce.reproduce("table3", tiny(folder))
    assert counted == ["pass A-8-seed-0"]


def test_passes_over_other_test_images_are_computed_anew(finished: Path, counted: list[str], monkeypatch, tmp_path):
    folder = shutil.copytree(finished, tmp_path / "out")
    original = pass_task.labelled
    monkeypatch.setattr(pass_task, "labelled", lambda *given, **named: take(original(*given, **named), np.arange(200)))
    reproduce.reproduce("table3", tiny(folder))
    assert len(counted) == 6
    reproduce.reproduce("table3", tiny(folder))
    assert len(counted) == 6


def test_passes_stand_where_the_test_images_are_not_here(finished: Path, counted: list[str], monkeypatch, tmp_path):
    def gone(*_, **__):
        raise DataError("not here", code="DATA-MISSING")

    folder = shutil.copytree(finished, tmp_path / "out")
    monkeypatch.setattr(pass_task, "labelled", gone)
    reproduce.reproduce("table3", tiny(folder))
    assert counted == []


def test_a_run_whose_source_was_trained_anew_is_refused(finished: Path, tmp_path: Path):
    request = tiny(shutil.copytree(finished, tmp_path / "out"))
    first, grown = Training(A, 1), Training(B, 1)
    assert training_task.state(grown, request) == "done"
    shutil.rmtree(first.folder(request.out, request.scale))
    with pytest.raises(ConfigError, match="began with another A-8-seed-1 than is there now"):
        reproduce.planned("table3", request)
    training_task.conduct(first, request, display=Silent())
    with pytest.raises(ConfigError, match="began with another A-8-seed-1 than is there now") as refused:
        training_task.state(grown, request)
    assert refused.value.code == "REPRODUCE-OTHER"
    folder = grown.folder(request.out, request.scale)
    shutil.rmtree(folder)
    train(training_task.settings(grown, request), out=folder, display=Silent())
    assert training_task.state(grown, request) == "done"  # by hand: nobody wrote down with which one it began
    shutil.rmtree(request.out / "sources")
    shutil.rmtree(first.folder(request.out, request.scale))
    assert training_task.state(grown, request) == "done"  # an older folder has no such record


def test_patience_makes_another_run():
    assert training_task.differences(ONE, ONE.updated(patience=3)) == ["patience: 0 there, 3 wanted"]
    assert training_task.differences(ONE, ONE.updated(workers=3)) == []


def test_characters_are_not_mirrored_in_training():
    mirrored = {side: config.updated(flip=True) for side, config in TINY.settings.items()}
    for data, flip in (("digits", False), ("mnist", False), ("cifar10", True)):
        assert tiny(Path(), settings=mirrored, data=data).config("256").flip is flip


@pytest.mark.parametrize(("kind", "flip"), [("dense", True), ("dense", False), ("multi-crop", False), ("center", True)])
def test_a_pass_mirrors_as_the_training_did_and_decodes_with_the_workers_asked_for(
    kind, flip: bool, finished: Path, monkeypatch, tmp_path: Path
):
    class SeenError(Exception):
        """Ends the pass."""

    def see(run, images, *, protocol, device):
        assert protocol.flip is (flip and kind != "center")
        assert run.config.workers == 5
        raise SeenError

    def opened(folder):
        run = open_run(folder)
        return replace(run, settings=run.config.updated(flip=flip))

    monkeypatch.setattr(pass_task, "posteriors", see)
    monkeypatch.setattr(pass_task, "open_run", opened)
    with pytest.raises(SeenError):
        pass_task.conduct(Wanted(Pass(Training(A, 0), kind, 8), 20), replace(tiny(finished), workers=5))


def test_passes_are_averaged_without_holding_all_of_them(finished: Path, monkeypatch):
    alive, most = [0], [0]

    def first(one, request, *, images):
        array = np.full((4, 2), 0.5)
        alive[0] += 1
        most[0] = max(most[0], alive[0])
        weakref.finalize(array, lambda: alive.__setitem__(0, alive[0] - 1))
        member = Member(str(one.side), "dense", (one.side,), False)
        return Posteriors(array, np.zeros(4, dtype=np.int64), ("a", "b"), "none", "four", (member,))

    monkeypatch.setattr(pass_task, "_first", first)
    many = tuple(Pass(Training(A, 0), "dense", side) for side in range(8, 20))
    assert len(pass_task.fused(many, tiny(finished), images=4).members) == 12
    assert most[0] <= 3


def test_a_training_that_diverges_leaves_the_other_seeds(counted: list[str], monkeypatch, tmp_path: Path):
    original = training_task.train

    def train_or_not(*given, out, **named):
        if out.name == "A-8-seed-0":
            raise NumericalError("step 3: the loss is not finite", code="TRAIN-NONFINITE")
        return original(*given, out=out, **named)

    monkeypatch.setattr(training_task, "train", train_or_not)
    with pytest.raises(NumericalError, match="A-8-seed-0: step 3: the loss is not finite; 4 tasks that") as diverged:
        reproduce.reproduce("table3", tiny(tmp_path))
    assert (diverged.value.code, diverged.value.exit_code) == ("REPRODUCE-DIVERGED", 5)
    assert counted == ["train A-8-seed-1", "train B-8-seed-1", *["pass A-8-seed-1"], *["pass B-8-seed-1"] * 2]


def test_data_without_test_images_is_refused_before_anything_is_trained(finished: Path, tmp_path: Path):
    for name in ("cat", "dog"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for number in range(3):
            Image.new("L", (8, 8), number).save(tmp_path / "pets" / name / f"{number}.png")
    with pytest.raises(DataError, match=r"no test images.*nets of other seeds were trained on") as refused:
        reproduce.reproduce("table3", tiny(tmp_path / "out", data=str(tmp_path / "pets")))
    assert (refused.value.code, refused.value.exit_code) == ("DATA-NO-TEST", 3)
    assert not (tmp_path / "out").exists()
    run = open_run(Training(A, 0).folder(finished, TINY))
    run = replace(run, settings=run.config.updated(data=str(tmp_path / "pets")), classes=("cat", "dog"))
    with pytest.raises(DataError, match="no test images"):
        pass_task._test_images(pass_task._Key(run, None))


def test_a_device_that_is_not_here_is_found_before_a_folder_is_made(tmp_path: Path):
    with pytest.raises(ConfigError, match="'cuda:99' is not here"):
        reproduce.reproduce("table3", replace(tiny(tmp_path / "out"), device="cuda:99"))
    assert not (tmp_path / "out").exists()


def test_more_test_images_are_computed_and_fewer_are_taken_from_them(
    finished: Path, counted: list[str], tmp_path: Path
):
    folder = shutil.copytree(finished, tmp_path / "out")
    reproduce.reproduce("table3", tiny(folder, crop_images=15))
    assert counted == []
    found = reproduce.reproduce("table3", tiny(folder, crop_images=30))
    assert len(counted) == 6
    assert {row["ours"]["images"] for row in found.record["rows"] if row["ours"]} == {30}


def test_a_damaged_pass_is_named_with_what_to_do(finished: Path, tmp_path: Path):
    folder = shutil.copytree(finished, tmp_path / "out")
    (file,) = (folder / "evaluations" / "A-8-seed-0").glob("*.npz")
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(VerydeepError, match=r"The same command computes it again without it: rm .*dense-8.npz"):
        reproduce.reproduce("table3", tiny(folder))


def test_what_is_kept_names_no_place_and_is_small(finished: Path):
    kept = finished / "kept"
    files = sorted(str(path.relative_to(kept)) for path in kept.rglob("*") if path.is_file())
    runs = [f"{net}-8-seed-{seed}" for net in "AB" for seed in (0, 1)]
    own = [f"{run}/{file}" for run in runs for file in ("config.yaml", "metrics.jsonl", "result.json")]
    assert files == sorted(["README.md", "table3.html", "table3.json", "table3.md", *own])
    for path in kept.rglob("*.*"):
        if path.is_file():
            assert str(finished.parent) not in path.read_text(), path
            assert path.stat().st_size < 100_000
    settings = yaml.safe_load((kept / "B-8-seed-1" / "config.yaml").read_text())
    assert settings["grow_from"] == "A-8-seed-1"
    assert "data_root" not in settings


@pytest.mark.slow
def test_two_processes_find_what_one_finds(finished: Path, counted: list[str], tmp_path: Path):
    folder = shutil.copytree(finished, tmp_path / "out")
    shutil.rmtree(folder / "evaluations" / "B-8-seed-0")
    found = reproduce.reproduce("table3", tiny(folder, jobs=2))
    assert found.record["rows"] == json.loads((finished / "table3.json").read_text())["rows"]
    assert counted == []  # in this process


@pytest.mark.slow
def test_ctrl_c_with_two_processes_saves_what_they_train(tmp_path: Path):
    settings = {side: ONE.updated(epochs=300) for side in TINY.settings}
    request = replace(tiny(tmp_path, jobs=2), scale=replace(TINY, settings=settings))
    timer = threading.Thread(target=_interrupt_once, args=(tmp_path / "runs",))
    timer.start()
    with pytest.raises(Interrupted, match="the same command goes on"):
        reproduce.reproduce("table3", request)
    timer.join()
    for seed in (0, 1):
        run = Training(A, seed).folder(tmp_path, request.scale)
        assert read_record(run / "environment.json")["threads"] == 1
        assert list((run / "checkpoints").iterdir()), run
        assert training_task.state(Training(A, seed), request) == "begun"


def _interrupt_once(runs: Path) -> None:
    """Ctrl-C for this process once two trainings have written an epoch."""
    while len([path for path in runs.glob("*/metrics.jsonl") if path.stat().st_size]) < 2:
        sleep(0.05)
    os.kill(os.getpid(), signal.SIGINT)


def test_an_unknown_table_is_refused_with_the_nearest(tmp_path: Path):
    with pytest.raises(ConfigError, match="Did you mean table3") as refused:
        reproduce.reproduce("tabel3", tiny(tmp_path))
    assert refused.value.code == "REPRODUCE-TABLE"


@pytest.mark.parametrize("seeds", [1, 2])
def test_findings_of_few_seeds_are_refused(seeds: int, tmp_path: Path):
    with pytest.raises(ConfigError, match="over seeds") as refused:
        reproduce.reproduce("findings", tiny(tmp_path, seeds=seeds))
    assert refused.value.code == "REPRODUCE-SEEDS"
    with pytest.raises(ConfigError, match="--seeds is 0"):
        tiny(tmp_path, seeds=0)


def test_missing_data_is_found_before_anything_is_trained(counted: list[str], tmp_path: Path):
    request = replace(tiny(tmp_path / "out", data="cifar10-jpeg"), data_root=tmp_path)
    with pytest.raises(DataError, match="cifar10_jpeg") as refused:
        reproduce.reproduce("table3", request)
    assert refused.value.code == "DATA-MISSING"
    assert counted == []
    assert not (tmp_path / "out").exists()


def test_a_disk_too_small_is_found_before_anything_is_trained(counted: list[str], monkeypatch, tmp_path: Path):
    monkeypatch.setattr(conduct, "free_bytes", lambda folder: min(1_000, free_bytes(folder)))
    with pytest.raises(ResourceError) as refused:
        reproduce.reproduce("table3", tiny(tmp_path))
    assert refused.value.code == "DISK-FULL"
    assert counted == []


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"--keep .* is not a folder"):
        reproduce.reproduce("table3", tiny(tmp_path / "out"), kept=tmp_path / "file")


def test_choices_replace_what_the_scale_says():
    changed = with_choices(tiny(Path()).scale, data="mnist", epochs=7, test_images=0, crop_images=9)
    assert (changed.data, changed.test_images, changed.crop_images) == ("mnist", None, 9)
    assert {config.epochs for config in changed.settings.values()} == {7}
    with pytest.raises(ConfigError, match="--test-images is -1"):
        with_choices(changed, test_images=-1)


def test_json_has_fractions_and_markdown_percent(finished: Path):
    record = json.loads((finished / "table3.json").read_text())
    first = record["rows"][0]
    assert first["paper"] == {"top1_error": 0.296, "top5_error": 0.104, "test_top5_error": None}
    mean = sum(first["ours"]["top1_error"]) / 2
    assert first["ours"]["top1_error_mean"] == pytest.approx(mean, abs=1e-6)
    assert f"{100 * mean:.2f}" in (finished / "table3.md").read_text()


def test_a_name_in_a_table_cannot_break_its_page(finished: Path):
    text = document.write(table_document.of_table(SMALL, [], tiny(finished), command="<b>"), "html")
    assert "<b>" not in text


def _of_two_epochs(scale: Scale) -> Scale:
    return replace(scale, settings={side: config.updated(epochs=2) for side, config in scale.settings.items()})
