"""The paper's chain of trainings (section 3.1): what each run begins with, and when it ends."""

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.training.test_session import _signal_after
from tests.training.tiny import Recorder, bits, tiny, trained
from verydeep.data.augment import Augment, with_components
from verydeep.data.measure import color_components
from verydeep.errors import ConfigError, WeightsError
from verydeep.processes import Processes
from verydeep.run import Run, open_run
from verydeep.settings.recipes import recipe
from verydeep.training import session
from verydeep.training.prepare import first_weights, prepare
from verydeep.training.progress import Progress
from verydeep.training.session import resume, train
from verydeep.training.signals import Interrupted

ALONE = Processes(torch.device("cpu"))
SMALL: dict[str, Any] = {  # the first three blocks of a column, on the embedded digits
    "arch": None,
    "batch_norm": False,
    "blocks": 3,
    "width": 1 / 16,
    "fc": (8, 8),
    "epochs": 1,
}


@pytest.fixture(scope="module")
def net_a(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of three blocks of net A."""
    return trained(tmp_path_factory.mktemp("chain") / "a", **SMALL, net="A")


@pytest.fixture(scope="module")
def net_d(net_a: Run) -> Run:
    """A run of three blocks of net D that grew from `net_a`."""
    return trained(net_a.path.with_name("d"), **SMALL, net="D", grow_from=net_a.path)


def _begun(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, **changes: Any) -> dict[str, np.ndarray]:
    """What a run that starts from `run` holds when its loop is entered."""
    found: dict[str, np.ndarray] = {}

    def look(learner: Any, *rest: Any, **options: Any) -> None:
        found.update({name: tensor.numpy().copy() for name, tensor in learner.weights().items()})
        raise KeyboardInterrupt

    monkeypatch.setattr(session, "run_epochs", look)
    with pytest.raises(KeyboardInterrupt):
        train(tiny(**{**SMALL, **changes}, start_from=run.path), out=tmp_path / "run", display=Recorder())
    return found


def test_a_run_begins_with_all_the_weights_of_another_before_its_first_step(net_d: Run, monkeypatch, tmp_path: Path):
    begun = _begun(net_d, monkeypatch, tmp_path, net="D", scale=(12, 12), size=8, lr=1e-3, seed=5)
    assert list(begun) == list(net_d.weights)
    assert all(np.array_equal(begun[name], net_d.weights[name]) for name in begun)


def test_three_blocks_of_net_d_grow_from_three_blocks_of_net_a_by_name(net_a: Run):
    config = tiny(**SMALL, net="D", grow_from=net_a.path, seed=3)
    begun = first_weights(config, prepare(config, ALONE).network)
    taken = {f"{name}.weight" for name in ("conv1_1", "conv2_1", "conv3_1", "conv3_2", "fc6", "fc7", "fc8")}
    assert {name for name in begun if name.endswith("weight")} - taken == {
        f"{name}.weight" for name in ("conv1_2", "conv2_2", "conv3_3")
    }
    assert all(np.array_equal(begun[name], net_a.weights[name]) for name in taken)


def test_a_run_goes_on_without_the_run_that_it_started_from(net_d: Run, tmp_path: Path, monkeypatch):
    source = shutil.copytree(net_d.path, tmp_path / "source")
    options = {**SMALL, "net": "D", "start_from": source}
    straight = trained(tmp_path / "straight", **options)
    _signal_after(4, signal.SIGTERM, monkeypatch)
    with pytest.raises(Interrupted):
        trained(tmp_path / "stopped", **options)
    monkeypatch.undo()
    shutil.rmtree(source)
    assert bits(resume(tmp_path / "stopped", {}, display=Recorder())) == bits(straight)


def test_the_run_it_started_from_is_found_from_any_folder_and_named_on_the_card(
    net_d: Run, tmp_path: Path, monkeypatch
):
    monkeypatch.chdir(net_d.path.parent)
    run = trained(tmp_path / "run", **SMALL, net="D", start_from=Path("d"))
    assert run.config.start_from == net_d.path
    card = (run.path / "MODEL_CARD.md").read_text()
    assert "It began with all the weights of `d`." in card and str(net_d.path.parent) not in card
    assert (
        "Its first four convolutions and its fully connected layers began as those of `a`."
        in (net_d.path / "MODEL_CARD.md").read_text()
    )
    assert open_run(run.path).config.start_from == net_d.path


def test_a_run_of_another_net_or_width_is_refused_naming_the_arrays(net_d: Run):
    deeper = tiny(**SMALL, net="E", start_from=net_d.path)
    with pytest.raises(WeightsError, match=r"not those of vgg19: missing: conv3_4\.weight") as caught:
        first_weights(deeper, prepare(deeper, ALONE).network)
    assert caught.value.code == "WEIGHTS-MISMATCH" and f"--grow-from {net_d.path}" in caught.value.line()
    wider = tiny(**{**SMALL, "width": 1 / 8}, net="D", start_from=net_d.path)
    with pytest.raises(WeightsError, match=r"conv1_1\.weight is \(4, 1, 3, 3\), not \(8, 1, 3, 3\)"):
        first_weights(wider, prepare(wider, ALONE).network)


def test_a_run_of_other_classes_is_refused_in_one_line_that_names_both_counts(net_d: Run):
    from verydeep.families.catalog import network

    three = network("D", input=(1, 8, 8), classes=3, width=1 / 16, fc=(8, 8), blocks=3)
    with pytest.raises(
        WeightsError, match=r"vgg16 with 3 classes cannot start from .*, which tells 10 apart"
    ) as caught:
        first_weights(tiny(start_from=net_d.path), three)
    assert caught.value.code == "WEIGHTS-MISMATCH" and "\n" not in caught.value.line()


def test_a_run_whose_outputs_stand_for_other_classes_is_refused_naming_the_first_that_differs(net_d: Run):
    config = tiny(**SMALL, net="D", start_from=net_d.path)
    classes = tuple("098" + "1234567")
    with pytest.raises(WeightsError, match=r"whose output for '1' would become that for '9'") as caught:
        first_weights(config, prepare(config, ALONE).network, classes=classes)
    assert caught.value.code == "WEIGHTS-MISMATCH"


@pytest.mark.parametrize("name", ["paper-384", "paper-jitter", "laptop-48", "laptop-jitter"])
def test_a_recipe_that_goes_on_with_a_run_asks_for_it_before_anything_is_read(name: str, tmp_path: Path):
    with pytest.raises(ConfigError, match=rf"recipe {name} goes on with .*Give --start-from RUN") as caught:
        train(recipe(name).updated(data="mnist", data_root=tmp_path), out=tmp_path / "run", display=Recorder())
    assert caught.value.code == "START-MISSING"
    assert not (tmp_path / "run").exists()


# The three drops and the end


def _judged(accuracies: list[float], **options: Any) -> list[tuple[int, bool]]:
    """After each accuracy: drops so far, and whether the run is over."""
    progress, seen = Progress(), []
    for accuracy in accuracies:
        progress.judge(accuracy, **options)
        seen.append((progress.drops, progress.is_on_last_plateau(**options)))
    return seen


def test_the_rate_drops_at_three_plateaus_and_the_fourth_is_the_last():
    rising_and_flat = [0.1, 0.2, 0.2, 0.2, 0.3, 0.3, 0.3, 0.3, 0.3, 0.4, 0.4, 0.4]
    assert _judged(rising_and_flat, plateau=2, drops=3) == [
        (0, False),
        (0, False),
        (0, False),
        (1, False),  # 0.2 twice more
        (1, False),
        (1, False),
        (2, False),  # 0.3 twice more
        (2, False),
        (3, False),  # and again
        (3, False),
        (3, False),
        (3, True),  # 0.4 twice more
    ]


def _validate_as(accuracies: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    row, left = session.run_epochs.__globals__["_row"], iter(accuracies)
    monkeypatch.setitem(
        session.run_epochs.__globals__, "_row", lambda *arguments: row(*arguments) | {"val_top1": next(left)}
    )


DROPPING: dict[str, Any] = {"schedule": "plateau", "plateau": 1, "drops": 3, "lr": 0.01, "val": 0.2, "epochs": 9}


def test_a_run_divides_its_rate_three_times_and_then_ends(tmp_path: Path, monkeypatch):
    _validate_as([0.5, 0.4, 0.4, 0.4, 0.4, 0.4], monkeypatch)
    shown = Recorder()
    run = train(tiny(**DROPPING, last_plateau="ends"), out=tmp_path / "run", display=shown)
    assert [row["lr"] for row in run.history] == pytest.approx([1e-2, 1e-2, 1e-3, 1e-4, 1e-5])
    assert any("no better validation accuracy for 1 epochs at the last rate: training ends" in n for n in shown.notes)
    monkeypatch.undo()
    assert len(resume(run.path, {}, display=Recorder()).history) == 5  # over is over
    assert json.loads((run.path / "result.json").read_text())["epochs"] == 5


def test_without_that_setting_a_run_goes_on_at_its_last_rate(tmp_path: Path, monkeypatch):
    _validate_as([0.5, *[0.4] * 8], monkeypatch)
    run = trained(tmp_path / "run", **DROPPING)
    assert [row["lr"] for row in run.history][-4:] == pytest.approx([1e-5] * 4)
    assert len(run.history) == 9


# The colours


def test_the_colour_shift_has_the_principal_colours_of_the_training_images_alone(monkeypatch):
    prepared = prepare(tiny(**SMALL, net="A", color=0.1, val=0.3), ALONE)
    assert prepared.val is not None
    assert prepared.augment == with_components(
        Augment(color=0.1, scale=None, crop="random", flip=True, pad=1), prepared.train
    )
    assert prepared.augment.eigenvalues == color_components(prepared.train)[0]
    assert prepared.augment.eigenvalues != color_components(prepared.val)[0]
