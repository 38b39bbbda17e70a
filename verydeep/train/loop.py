"""The training loop: epochs of steps, validation after each, checkpoints on the way."""

import math
from collections.abc import Callable
from contextlib import closing
from time import monotonic
from typing import Any

from verydeep.data.batches import batches, plan
from verydeep.evaluate.metrics import measure
from verydeep.evaluate.scores import scores
from verydeep.train.config import Config
from verydeep.train.display import Display
from verydeep.train.prepare import Prepared
from verydeep.train.processes import Processes
from verydeep.train.progress import Progress
from verydeep.train.schedule import rate
from verydeep.train.signals import Interrupted, Stop
from verydeep.train.step import take_step
from verydeep.train.trainee import Trainee

STUCK = 0.01  # relative distance of the mean loss from ln(classes) at which a network has learned nothing


def run_epochs(
    trainee: Trainee,
    progress: Progress,
    prepared: Prepared,
    *,
    config: Config,
    processes: Processes,
    display: Display,
    stop: Stop,
    save: Callable[[], None],
    record: Callable[[dict[str, Any], float], None],
    resume: str,
) -> None:
    """Train from where `progress` stands to the last epoch.

    Args:
        trainee: The arrays, changed in place.
        progress: The position, changed in place.
        prepared: Images, preprocessing and augmentation.
        config: The run's settings.
        processes: All of them call this function.
        display: Where to report to.
        stop: Set by a signal; the loop then saves and raises.
        save: Writes a checkpoint of the present state.
        record: Takes an epoch's row of metrics and the seconds that its training took.
        resume: The command that goes on after an interruption, for the message.

    Raises:
        Interrupted: a signal came; everything is saved.
        NumericalError: a gradient or a validation score is not finite.
    """
    in_epoch = len(plan(len(prepared.train), config.batch))
    steps = config.epochs * in_epoch
    saved = monotonic()
    while progress.epoch < config.epochs and not progress.stopped:
        began, first = monotonic(), progress.seen
        trainee.model.train()
        with closing(
            batches(
                prepared.train,
                preprocessing=prepared.preprocessing,
                augment=prepared.augment,
                batch=config.batch,
                seed=config.seed,
                epoch=progress.epoch,
                start=progress.position,
                rank=processes.rank,
                world=processes.world,
                workers=config.workers,
            )
        ) as shares:
            for batch in shares:
                outcome = take_step(
                    trainee.called,
                    batch,
                    trainee.optimizer,
                    config=config,
                    processes=processes,
                    step=progress.step,
                    rate=rate(config, step=progress.step, steps=steps, epoch=progress.epoch, drops=progress.drops),
                    stop=stop.number > 0,
                )
                if trainee.average is not None:
                    trainee.average.update_parameters(trainee.model)
                progress.count(loss_sum=outcome.loss_sum, correct=outcome.correct, images=outcome.images)
                display.step(loss=progress.loss_sum / progress.seen, accuracy=progress.correct / progress.seen)
                due = config.checkpoint_every and progress.step % config.checkpoint_every == 0
                # Several processes stop after the same step: the one at whose start any of them had been asked to.
                asked = outcome.stop or (processes.world == 1 and stop.number > 0)
                if due or asked or monotonic() - saved > 60 * config.checkpoint_minutes:
                    save()
                    saved = monotonic()
                if asked:
                    raise Interrupted(stop.number or 15, resume=resume)
        seconds = monotonic() - began
        row = _row(trainee, progress, prepared, config=config, processes=processes, steps=steps)
        speed = (progress.seen - first) / seconds
        _warn_if_stuck(row, classes=len(prepared.train.classes), display=display)
        progress.finish_epoch(row)
        record(row, seconds)
        display.epoch(row, seconds=seconds, images_per_second=speed)
        if row["val_top1"] is not None:
            better = progress.judge(row["val_top1"], plateau=config.plateau, drops=_most_drops(config))
            if config.patience:
                if better:
                    trainee.keep_as_best()
                elif progress.stale >= config.patience:
                    progress.stopped = True
                    display.note(f"no better validation accuracy for {config.patience} epochs: stopping early")
    save()


def _row(
    trainee: Trainee,
    progress: Progress,
    prepared: Prepared,
    *,
    config: Config,
    processes: Processes,
    steps: int,
) -> dict[str, Any]:
    """The epoch's line of metrics: means over images, never of batch means."""
    row: dict[str, Any] = {
        "epoch": progress.epoch + 1,
        "step": progress.step,
        "lr": rate(config, step=progress.step - 1, steps=steps, epoch=progress.epoch, drops=progress.drops),
        "train_loss": progress.loss_sum / progress.seen,
        "train_top1": progress.correct / progress.seen,
        "val_loss": None,
        "val_top1": None,
    }
    if prepared.val is not None:
        logits = scores(
            trainee.evaluated(),
            prepared.val,
            preprocessing=prepared.preprocessing,
            processes=processes,
            workers=config.workers,
        )
        found = measure(logits, prepared.val.labels, classes=prepared.val.classes)
        row |= {"val_loss": found.loss, "val_top1": found.top1}
    return row


def _most_drops(config: Config) -> int:
    return config.drops if config.schedule == "plateau" else 0


def _warn_if_stuck(row: dict[str, Any], *, classes: int, display: Display) -> None:
    chance = math.log(classes)
    if classes > 1 and abs(row["train_loss"] - chance) < STUCK * chance and row["train_top1"] < 2 / classes:
        display.note(
            f"warning: the loss sits at ln({classes}) = {chance:.3f}, that of guessing: the network is not learning. "
            "Try a network with batch norm (--net vgg11_bn), --init he, a lower --lr, or --grow-from a run of net A."
        )
