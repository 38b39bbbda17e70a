"""A whole reproduction, tiny: interrupted, gone on with, repeated, and refused where it would mix two."""

import json
import os
import re
import shutil
import signal
import threading
from dataclasses import replace
from pathlib import Path
from time import sleep

import numpy as np
import pytest
import yaml

from tests.reproduce.tiny import ONE, TINY, tiny
from verydeep.data.split import take
from verydeep.durable import free_bytes
from verydeep.errors import ConfigError, DataError, ResourceError, VerydeepError
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
        reproduce.reproduce("table3", tiny(folder), command="verydeep reproduce table3", kept=folder / "kept")
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
    assert "command: verydeep reproduce table3" in notes
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
    whole = posteriors(run, images, protocol_for(run, "both", scales=(8, 12, 16)), device="cpu")
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
    found = reproduce.reproduce("findings", tiny(folder), command="")
    assert {line.split()[0] for line in counted} <= {"pass"}
    depth, opposite = found.record["findings"]
    assert depth["gain"] == [-gain for gain in opposite["gain"]]
    assert depth["over_seeds"]["mean"] == pytest.approx(-opposite["over_seeds"]["mean"], abs=1e-9)
    assert {depth["verdict"], opposite["verdict"]} in ({"undecided"}, {"held", "not held"})


def test_swapping_the_sides_turns_held_into_not_held(finished: Path, monkeypatch):
    right = {"A-8-seed-0": 10, "A-8-seed-1": 12, "B-8-seed-0": 30, "B-8-seed-1": 33}
    labels = np.arange(40) % 10

    def found(tested, request, *, seed, images):
        count = right[Training(tested.trained[0], seed).name(request.scale)]
        said = np.where(np.arange(40) < count, labels, (labels + 1) % 10)
        return Posteriors(np.eye(10)[said], labels, tuple("0123456789"), "none", "forty", ())

    monkeypatch.setattr(outcome, "_posteriors", found)
    depth, opposite = (outcome.judged(claim, tiny(finished)) for claim in CLAIMS)
    assert depth.differences == pytest.approx((50.0, 52.5))
    assert (depth.verdict, opposite.verdict) == ("held", "not held")
    right |= {"A-8-seed-0": 4, "A-8-seed-1": 4}
    guessing = outcome.judged(CLAIMS[0], tiny(finished))
    assert guessing.over_seeds.low > 0
    assert (guessing.verdict, guessing.guessing) == ("undecided", (0, 1))


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


def test_findings_of_one_seed_are_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match="over seeds") as refused:
        reproduce.reproduce("findings", tiny(tmp_path, seeds=1))
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
