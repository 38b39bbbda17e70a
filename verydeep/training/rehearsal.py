"""The check before a run: data, shapes, memory, disk and one step, with nothing left behind."""

from collections.abc import Iterator
from pathlib import Path
from time import monotonic

from verydeep.durable import disk_full, free_bytes
from verydeep.processes import joined
from verydeep.report.table import summary
from verydeep.report.words import bytes_text, sizes
from verydeep.settings.config import Config
from verydeep.settings.recipes import begun
from verydeep.training.checkpoint import WRITTEN_AT_MOST
from verydeep.training.kernels import choose_kernels
from verydeep.training.precision import settled
from verydeep.training.prepare import Prepared, at_once, first_arrays, prepare
from verydeep.training.schedule import rate
from verydeep.training.shares import shares
from verydeep.training.step import take_step
from verydeep.training.trainee import Trainee, bytes_to_save, trainee


def rehearse(config: Config, *, out: Path | None = None) -> str:
    """What a run with these settings would need, found out by reading the data and taking a step; a few lines.

    Args:
        config: The run's settings.
        out: The folder that the run would be written to; its disk is looked at, nothing is made.

    Raises:
        Whatever `train` would raise before its second step.
    """
    choose_kernels(begun(config))
    with joined(config.device) as processes:
        prepared = prepare(config, processes)
        arrays = first_arrays(prepared)
        prepared = settled(prepared, arrays)
        config = prepared.config
        learner = trainee(prepared.network, arrays, config, processes)
        folder = out or Path.cwd()
        needed = WRITTEN_AT_MOST * bytes_to_save(learner, config)
        if free_bytes(folder) < needed:
            raise disk_full(folder, bytes_needed=needed)
        return "\n".join(
            _lines(
                prepared, learner, disk=f"{bytes_text(needed)} for checkpoints, {bytes_text(free_bytes(folder))} free"
            )
        )


def _lines(prepared: Prepared, learner: Trainee, *, disk: str) -> Iterator[str]:
    config, network, costs = prepared.config, prepared.network, summary(prepared.network)
    held_out = f"{len(prepared.val):,} held out" if prepared.val is not None else "none held out"
    tested = f"{len(prepared.test):,}" if prepared.test is not None else "no"
    yield (
        f"data     {config.data}: {len(prepared.train):,} training images, {held_out}, {tested} test images, "
        f"{len(prepared.train.classes)} classes"
    )
    yield f"network  {network.name} for {sizes(network.input)}: {costs.params:,} parameters, {costs.macs:,} MACs"
    images = at_once(config, prepared.processes)
    memory = bytes_to_save(learner, config) + 4 * costs.params + images * costs.training_bytes
    yield f"memory   about {bytes_text(memory)} for weights, optimiser and {images} images at once"
    yield f"disk     {disk}"
    loss, count, seconds = _one_step(prepared, learner)
    yield (
        f"step     loss {loss:.4f} on {count} images in {seconds:.3f} s; "
        f"{prepared.steps:,} steps would take about {_duration(prepared.steps * seconds)}"
    )


def _one_step(prepared: Prepared, learner: Trainee) -> tuple[float, int, float]:
    """Mean loss, images and seconds of a step; one before it warms the machine up, where there are two batches."""
    config, processes = prepared.config, prepared.processes
    learner.model.train()
    found = (0.0, 0, 0.0)
    with shares(prepared, epoch=0) as own:
        for number, batch in zip(range(2), own, strict=False):
            began = monotonic()
            outcome = take_step(
                learner.called,
                batch,
                learner.optimizer,
                config=config,
                processes=processes,
                step=number,
                rate=rate(config, step=number, steps=prepared.steps, epoch=0, drops=0),
                stop=False,
            )
            found = (outcome.loss_sum / outcome.images, outcome.images, monotonic() - began)
    return found


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.1f} minutes" if seconds >= 60 else f"{seconds:.0f} seconds"
