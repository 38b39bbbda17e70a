"""Steps that are not waited for are those that are, and a gradient that is not finite never reaches the weights."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.training.test_step import CPU, NETWORK, _batch
from tests.training.tiny import bits, trained
from verydeep.backends import pytorch
from verydeep.data.batches import Batch
from verydeep.data.resident import resident
from verydeep.errors import NumericalError
from verydeep.processes import Processes
from verydeep.settings.config import Config
from verydeep.training import loop, queue, trainee
from verydeep.training.checkpoint import latest
from verydeep.training.optimizer import optimizer_for
from verydeep.training.queue import Queue, can_queue, queue_step
from verydeep.training.step import Outcome, take_step
from verydeep.weights.initial import initial

VARIANTS = {
    "plain": Config(lr=0.05),
    "nesterov": Config(lr=0.05, nesterov=True, decayed="matrices"),
    "no-momentum": Config(lr=0.05, momentum=0.0),
    "adamw": Config(lr=0.01, optimizer="adamw"),
    "clip": Config(lr=0.5, clip=0.1),
    "pieces": Config(lr=0.05, accumulate=3, smoothing=0.2),
    "bf16": Config(lr=0.05, precision="bf16", layout="channels_first"),
}


def _learner(config: Config) -> tuple[torch.nn.Sequential, torch.optim.Optimizer]:
    model = pytorch.build(NETWORK, initial(NETWORK), layout=config.layout)
    return model, optimizer_for(dict(model.named_parameters()), config)


def _queued(steps: list[Batch], config: Config, *, room: int = 64) -> tuple[torch.nn.Sequential, Queue, list[Outcome]]:
    model, optimizer = _learner(config)
    waiting, seen = Queue(CPU.device, room=room), []
    for number, batch in enumerate(steps):
        queue_step(model, batch, optimizer, waiting, config=config, processes=CPU, step=number, rate=config.lr)
        if waiting.is_full:
            seen += waiting.read(model)
    return model, waiting, seen


@pytest.mark.parametrize("name", VARIANTS)
def test_queued_steps_give_the_bits_of_steps_that_are_waited_for(name: str):
    config, steps = VARIANTS[name], [_batch(number) for number in range(6)]
    model, optimizer = _learner(config)
    expected = [
        take_step(model, batch, optimizer, config=config, processes=CPU, step=number, rate=config.lr, stop=False)
        for number, batch in enumerate(steps)
    ]
    ours, waiting, seen = _queued(steps, config, room=4)
    assert len(seen) == 4
    assert [*seen, *waiting.read(ours)] == expected
    theirs = pytorch.get_weights(model)
    assert all(np.array_equal(array, theirs[key]) for key, array in pytorch.get_weights(ours).items())


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("at", [0, 3])
def test_a_gradient_that_is_not_finite_and_all_steps_after_it_change_nothing(name: str, at: int):
    config, steps = VARIANTS[name], [_batch(number) for number in range(6)]
    before = pytorch.get_weights(_queued(steps[:at], config)[0])
    steps[at].images[0] = float("nan")
    model, waiting, _ = _queued(steps, config)
    after = pytorch.get_weights(model)
    assert all(np.array_equal(after[key], before[key]) for key in before)
    said = rf"^step {at + 1}: block1\.conv1_1\.weight is not finite .*images 0, 1"
    with pytest.raises(NumericalError, match=said) as caught:
        waiting.read(model)
    assert caught.value.code == "TRAIN-NONFINITE"


def test_a_gradient_that_is_infinite_in_one_array_alone_is_named():
    model, optimizer = _learner(Config())
    waiting = Queue(CPU.device)
    dict(model.named_parameters())["head.fc4.bias"].register_hook(lambda gradient: gradient * float("inf"))
    queue_step(model, _batch(0), optimizer, waiting, config=Config(), processes=CPU, step=7, rate=0.1)
    with pytest.raises(NumericalError, match=r"^step 8: head\.fc4\.bias is not finite"):
        waiting.read(model)


def test_a_loss_that_overflows_with_finite_gradients_stops_the_weights_too(monkeypatch):
    losses = queue.losses

    def overflowing(*arguments: Any, **options: Any) -> Any:
        loss, plain, correct = losses(*arguments, **options)
        return loss, plain * float("inf"), correct

    monkeypatch.setattr(queue, "losses", overflowing)
    model, waiting, _ = _queued([_batch(0)], Config())
    assert all(np.array_equal(array, initial(NETWORK)[key]) for key, array in pytorch.get_weights(model).items())
    with pytest.raises(NumericalError, match=r"^step 1: the loss is not finite"):
        waiting.read(model)


def test_an_empty_queue_has_nothing_to_tell():
    model, _ = _learner(Config())
    assert Queue(CPU.device).read(model) == []


def test_only_a_single_process_on_a_gpu_need_not_wait():
    assert can_queue(Processes(torch.device("cuda", 0)))
    assert not can_queue(Processes(torch.device("cuda", 0), rank=0, world=2))
    assert not can_queue(CPU)


RUN = {"ema": 0.9, "clip": 1.0, "lookahead": 3, "checkpoint_every": 3, "turns": "alternating"}


def _as_on_a_gpu(monkeypatch) -> None:
    """The loop's way on a GPU, on the CPU: images held, steps queued."""
    monkeypatch.setattr(trainee, "can_queue", lambda processes: True)
    monkeypatch.setattr(
        loop,
        "held",
        lambda prepared: resident(
            prepared.train,
            preprocessing=prepared.preprocessing,
            augment=prepared.augment,
            device=prepared.processes.device,
        ),
    )


def test_a_run_as_on_a_gpu_is_the_run_of_the_cpu_to_the_bit(tmp_path: Path, monkeypatch):
    expected = trained(tmp_path / "cpu", **RUN)
    _as_on_a_gpu(monkeypatch)
    monkeypatch.setattr(loop, "take_step", None)
    monkeypatch.setattr("verydeep.training.shares.batches", None)
    found = trained(tmp_path / "gpu", **RUN)
    assert bits(found) == bits(expected)


def test_a_run_that_diverges_on_a_gpu_leaves_no_checkpoint_with_what_came_after(tmp_path: Path, monkeypatch):
    _as_on_a_gpu(monkeypatch)
    taken = loop.queue_step

    def poisoned(model: Any, batch: Any, *arguments: Any, **options: Any) -> Any:
        if options["step"] == 4:
            batch.images[0] = float("nan")
        return taken(model, batch, *arguments, **options)

    monkeypatch.setattr(loop, "queue_step", poisoned)
    with pytest.raises(NumericalError, match=r"^step 5: "):
        trained(tmp_path / "run", **RUN)
    found, skipped = latest(tmp_path / "run" / "checkpoints", run_id=None)
    assert found is not None and not skipped
    assert found.record["progress"]["step"] == 3
