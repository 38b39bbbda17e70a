"""The check before a run: data, shapes, memory, disk and one step, with nothing left behind."""

import shutil
from pathlib import Path
from time import monotonic

from verydeep.data.batches import batches, plan
from verydeep.errors import DataError
from verydeep.report.table import summary
from verydeep.report.words import bytes_text, sizes
from verydeep.train.config import Config
from verydeep.train.prepare import first_weights, prepare, test_split
from verydeep.train.processes import joined
from verydeep.train.schedule import rate
from verydeep.train.step import take_step
from verydeep.train.trainee import bytes_to_save, full_precision, trainee

CHECKPOINTS = 3  # two that a run keeps and the one that it is writing


def rehearse(config: Config, *, out: Path | None = None) -> str:
    """What a run with these settings would need, found out by reading the data and taking one step; a few lines.

    Raises:
        Whatever `train` would raise before its second step.
    """
    full_precision()
    with joined(config.device) as processes:
        prepared = prepare(config, processes)
        network = prepared.network
        test = _test_images(config, prepared.train.classes)
        learner = trainee(network, first_weights(config, network), config, processes)
        learner.model.train()
        steps = config.epochs * len(plan(len(prepared.train), config.batch))
        seconds: list[float] = []
        for number, batch in zip(
            range(2),
            batches(
                prepared.train,
                preprocessing=prepared.preprocessing,
                augment=prepared.augment,
                batch=config.batch,
                seed=config.seed,
                epoch=0,
                rank=processes.rank,
                world=processes.world,
                workers=config.workers,
            ),
            strict=False,
        ):
            began = monotonic()
            outcome = take_step(
                learner.called,
                batch,
                learner.optimizer,
                config=config,
                processes=processes,
                step=number,
                rate=rate(config, step=number, steps=steps, epoch=0, drops=0),
                stop=False,
            )
            seconds.append(monotonic() - began)
    costs = summary(network)
    saved = bytes_to_save(learner, config)
    at_once = -(-config.batch // (config.accumulate * processes.world))
    memory = saved + 4 * costs.params + at_once * costs.training_bytes
    free = shutil.disk_usage(out.parent if out else Path.cwd()).free
    held_out = f"{len(prepared.val):,} held out" if prepared.val is not None else "none held out"
    lines = (
        f"data     {config.data}: {len(prepared.train):,} training images, {held_out}, {test} test images, "
        f"{len(prepared.train.classes)} classes",
        f"network  {network.name} for {sizes(network.input)}: {costs.params:,} parameters, {costs.macs:,} MACs",
        f"memory   about {bytes_text(memory)} for weights, optimiser and {at_once} images at once",
        f"disk     {bytes_text(CHECKPOINTS * saved)} for checkpoints, {bytes_text(free)} free",
        f"step     loss {outcome.loss_sum / outcome.images:.4f} on {outcome.images} images in {seconds[-1]:.3f} s; "
        f"{steps:,} steps would take about {_minutes(steps * seconds[-1])}",
    )
    return "\n".join(lines)


def _test_images(config: Config, classes: tuple[str, ...]) -> str:
    try:
        return f"{len(test_split(config, classes=classes)):,}"
    except DataError as error:
        if error.code != "DATA-NO-TEST":
            raise
        return "no"


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.1f} minutes" if seconds >= 60 else f"{seconds:.0f} seconds"
