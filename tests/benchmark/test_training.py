"""Training steps: our loop and plain PyTorch take as many, of the same network, from the same settings."""

import json

import numpy as np
import pytest
import torch

from tests.benchmark.tiny import MACHINE
from verydeep.benchmark import training, training_side
from verydeep.benchmark.contest import Timed
from verydeep.benchmark.training import STEPS, bench_training
from verydeep.data.catalog import DATASETS
from verydeep.errors import ConfigError
from verydeep.settings.recipes import RECIPES, resolve

SMALL = {"arch": "1x4,1x6", "fc": (), "batch": 8}


@pytest.fixture(autouse=True)
def as_before(monkeypatch):
    """What a process of a contest changes for good must not stay in the process of the tests."""
    monkeypatch.setattr(training_side, "DATASETS", DATASETS)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    DATASETS.pop(training_side.NOISE, None)


@pytest.fixture
def pretended(monkeypatch):
    """A contest in which every entrant takes the seconds that `told` says; it remembers who entered."""
    told: dict = {"seconds": {}, "entered": []}

    def contest(entrants, *, calls, threads, folder, keep, say):
        told["entered"] += entrants
        found = []
        for entrant in entrants:
            seconds = told["seconds"].get(entrant.name, 1.0)
            np.save(folder / f"{entrant.name}.npy", np.array(2.5))
            timed = Timed(
                entrant.name,
                (seconds,) * calls,
                output=folder / f"{entrant.name}.npy",
                about={"network": "vgg", "input": [1, 28, 28]},
            )
            found.append(timed if isinstance(seconds, float) else Timed(entrant.name, failed=seconds))
        return found

    monkeypatch.setattr(training, "contest", contest)
    monkeypatch.setattr(training.bystanders, "LOOK", 0.01)
    monkeypatch.setattr("verydeep.benchmark.circumstances.environment", lambda: MACHINE)
    return told


def _job(**settings) -> dict:
    config = resolve({"recipe": "fashion", "data": "fashion-mnist", **SMALL, **settings})
    return {"config": config.model_dump(mode="json"), "shape": [1, 28, 28], "classes": 10, "steps": STEPS, "threads": 1}


@pytest.mark.parametrize("layout", ["ours", "channels_last", "channels_first"])
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_every_loop_trains_and_says_its_loss(layout, precision):
    make = training_side.ours if layout == "ours" else training_side.plain
    ready = make({**_job(precision=precision), "layout": layout})
    losses = [float(ready.call()) for _ in range(3)]
    assert all(1.5 < loss < 5 for loss in losses), losses  # ln(10) = 2.3, on noise
    assert len(set(losses)) == 3  # the weights change
    assert ready.about["input"] == [1, 28, 28]


@pytest.mark.parametrize("name", RECIPES)
def test_our_loop_can_be_measured_with_every_recipe(pretended, name):
    bench_training(recipes=[name], batch=4, calls=1)
    small = {**pretended["entered"][0].job["config"], "arch": "1x4", "net": None, "fc": [], "size": None, "scale": None}
    small |= {"batch_norm": small["batch_norm"], "blocks": None, "whiten": False, "width": 1.0}
    job = {**pretended["entered"][0].job, "config": small, "shape": [1, 8, 8], "threads": 1}
    assert np.isfinite(training_side.ours(job).call())


def test_a_recipe_that_lets_a_trial_choose_is_measured_in_both_precisions(pretended):
    found = bench_training(recipes=["sprint"], batch=4, calls=1)
    assert [(row.engine, row.precision) for row in found.rows] == [
        *((engine, "float32") for engine in ("verydeep", "torch-channels-last", "torch")),
        *((engine, "bf16") for engine in ("verydeep", "torch-channels-last", "torch")),
        ("torch", "float32"),
    ]


def test_a_call_is_as_many_steps_of_whole_batches_for_both(monkeypatch):
    taken = {"ours": [], "plain": []}
    epochs, step = training_side.run_epochs, training_side._step

    def counted(learner, progress, prepared, **rest):
        epochs(learner, progress, prepared, **rest)
        taken["ours"] += [len(prepared.train) // progress.step] * progress.step

    def noted(model, x, y, optimizer, *, config):
        taken["plain"].append(len(x))
        return step(model, x, y, optimizer, config=config)

    monkeypatch.setattr(training_side, "run_epochs", counted)
    monkeypatch.setattr(training_side, "_step", noted)
    training_side.ours(_job()).call()
    training_side.plain({**_job(), "layout": "channels_last"}).call()
    assert taken["ours"] == taken["plain"] == [8] * STEPS


def test_ratios_are_to_plain_pytorch_with_channels_last(pretended):
    pretended["seconds"] = {"verydeep": 0.5, "torch-channels-last": 0.8, "torch": 1.6}
    found = bench_training(recipes=["plain"], batch=10, calls=3, net="vgg11")
    assert [(row.engine, row.ratio) for row in found.rows] == [
        ("verydeep", 1.6),
        ("torch-channels-last", 1.0),
        ("torch", 0.5),
    ]
    ours = found.rows[0]
    assert (ours.images_per_second, ours.median_ms, ours.loss) == (STEPS * 10 / 0.5, 500 / STEPS, 2.5)


def test_of_another_precision_the_books_float32_takes_part_too(pretended):
    found = bench_training(recipes=["fashion"], precision="bf16", calls=1)
    assert [(row.engine, row.precision) for row in found.rows] == [
        ("verydeep", "bf16"),
        ("torch-channels-last", "bf16"),
        ("torch", "bf16"),
        ("torch", "float32"),
    ]
    assert pretended["entered"][-1].job["config"]["precision"] == "float32"
    assert pretended["entered"][-1].job["layout"] == "channels_first"


def test_all_recipes_but_those_of_minutes_a_step_are_measured_one_after_another(pretended):
    found = bench_training(recipes=(), calls=1)
    measured = [name for name in RECIPES if not name.startswith("paper")]
    assert list(dict.fromkeys(row.recipe for row in found.rows)) == measured
    json.dumps(found.to_json())


def test_a_loop_that_dies_is_a_row(pretended):
    pretended["seconds"] = {"verydeep": "it died by SIGSEGV"}
    found = bench_training(recipes=["digits"], calls=1)
    assert (found.rows[0].failed, found.rows[0].ratio) == ("it died by SIGSEGV", None)
    assert found.rows[1].ratio == 1.0


def test_recipes_and_settings_that_are_none_are_refused(pretended):
    with pytest.raises(ConfigError, match="fashion"):
        bench_training(recipes=["fashon"])
    with pytest.raises(ConfigError, match="batch"):
        bench_training(batch=0)
    with pytest.raises(ConfigError, match="calls"):
        bench_training(calls=0)
    assert pretended["entered"] == []
