"""The training loop: epochs of steps, validation after each, checkpoints on the way."""

import math
from time import monotonic
from typing import Any, Protocol

from verydeep.data.batches import Batch
from verydeep.evaluation.metrics import measure
from verydeep.evaluation.scores import scores
from verydeep.settings.config import Config
from verydeep.training.display import Display
from verydeep.training.prepare import Prepared, at_once
from verydeep.training.progress import Progress
from verydeep.training.queue import queue_step
from verydeep.training.schedule import rate
from verydeep.training.shares import held, shares
from verydeep.training.signals import Interrupted, Stop
from verydeep.training.step import Outcome, take_step
from verydeep.training.trainee import Trainee

STUCK = 0.01  # relative distance of the mean loss from ln(classes) at which a network has learned nothing
SIGTERM = 15  # what ended the run where the signal reached another process


class Keeper(Protocol):
    """Where the loop leaves what must last."""

    def save(self) -> None:
        """Write a checkpoint of the present state."""

    def rows(self) -> None:
        """Write the rows of metrics and timings."""


def run_epochs(
    trainee: Trainee, progress: Progress, prepared: Prepared, *, display: Display, stop: Stop, keep: Keeper
) -> None:
    """Train from where `progress` stands to the last epoch; all processes of a run call this together.

    Args:
        trainee: The arrays, changed in place.
        progress: The position, changed in place.
        prepared: Settings, images, preprocessing and augmentation.
        display: Where to report to.
        stop: Set by a signal; the loop then saves and raises.
        keep: Writes checkpoints and rows of metrics.

    Raises:
        Interrupted: a signal came; everything is saved.
        NumericalError: a gradient or a validation score is not finite.
    """
    config = prepared.config
    saved, before, resident = monotonic(), (progress.epoch, progress.step), held(prepared)
    while progress.epoch < config.epochs and not progress.stopped:
        trainee.model.train()
        with shares(prepared, epoch=progress.epoch, start=progress.position, resident=resident) as own:
            mark, seen_before, seconds_before = monotonic(), progress.seen, progress.seconds
            for batch in own:
                asked = _step(trainee, progress, prepared, batch, display=display, stop=stop)
                progress.seconds, mark = progress.seconds + monotonic() - mark, monotonic()
                due = config.checkpoint_every and progress.step % config.checkpoint_every == 0
                if due or asked or monotonic() - saved > 60 * config.checkpoint_minutes:
                    _read(trainee, progress, display)
                    keep.save()
                    saved = mark = monotonic()
                if asked:
                    raise Interrupted(stop.number or SIGTERM, hint=stop.hint)
            _read(trainee, progress, display)
            progress.seconds += monotonic() - mark
        row, images = _row(trainee, progress, prepared), progress.seen - seen_before
        _warn_if_stuck(row, classes=len(prepared.train.classes), display=display)
        seconds = progress.seconds - seconds_before
        progress.finish_epoch(row)
        keep.rows()
        display.epoch(row, seconds=seconds, images_per_second=images / seconds if seconds else 0.0)
        if row["val_top1"] is not None:
            _judge(trainee, progress, prepared, accuracy=row["val_top1"], display=display)
    if (progress.epoch, progress.step) != before:
        keep.save()
    if prepared.processes.world == 1 and stop.number:
        raise Interrupted(stop.number, hint=stop.hint)


def _step(
    trainee: Trainee, progress: Progress, prepared: Prepared, batch: Batch, *, display: Display, stop: Stop
) -> bool:
    """One step; whether the run has been asked to stop."""
    config, processes = prepared.config, prepared.processes
    number, lr = progress.step, _rate(progress, prepared, step=progress.step)
    progress.advance()
    if trainee.queue is not None:
        queue_step(
            trainee.called,
            batch,
            trainee.optimizer,
            trainee.queue,
            config=config,
            processes=processes,
            step=number,
            rate=lr,
        )
        trainee.follow(step=progress.step, steps=prepared.steps)
        if trainee.queue.is_full:
            _read(trainee, progress, display)
        return stop.number > 0
    outcome = take_step(
        trainee.called,
        batch,
        trainee.optimizer,
        config=config,
        processes=processes,
        step=number,
        rate=lr,
        stop=stop.number > 0,
    )
    trainee.share_statistics(processes)
    trainee.follow(step=progress.step, steps=prepared.steps)
    _count(outcome, progress, display)
    # Several processes stop after the same step: the one at whose start any of them had been asked to.
    return outcome.stop or (processes.world == 1 and stop.number > 0)


def _read(trainee: Trainee, progress: Progress, display: Display) -> None:
    """Take note of the steps that have not been waited for; NumericalError if one of them went wrong."""
    if trainee.queue is not None:
        for outcome in trainee.queue.read(trainee.called):
            _count(outcome, progress, display)


def _count(outcome: Outcome, progress: Progress, display: Display) -> None:
    progress.count(loss_sum=outcome.loss_sum, correct=outcome.correct, images=outcome.images)
    display.step(loss=progress.loss_sum / progress.seen, accuracy=progress.correct / progress.seen)


def _rate(progress: Progress, prepared: Prepared, *, step: int) -> float:
    return rate(prepared.config, step=step, steps=prepared.steps, epoch=progress.epoch, drops=progress.drops)


def _row(trainee: Trainee, progress: Progress, prepared: Prepared) -> dict[str, Any]:
    """The epoch's line of metrics: means over images, never of batch means."""
    row: dict[str, Any] = {
        "epoch": progress.epoch + 1,
        "step": progress.step,
        "lr": _rate(progress, prepared, step=progress.step - 1),
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
            processes=prepared.processes,
            batch=at_once(prepared.config, prepared.processes),
            workers=prepared.config.workers,
        )
        found = measure(logits, prepared.val.labels, classes=prepared.val.classes)
        row |= {"val_loss": found.loss, "val_top1": found.top1}
    return row


def _judge(trainee: Trainee, progress: Progress, prepared: Prepared, *, accuracy: float, display: Display) -> None:
    """Lower the rate or stop where the validation accuracy no longer grows; early stopping keeps the best weights."""
    config = prepared.config
    better = progress.judge(accuracy, plateau=config.plateau, drops=config.drops if config.schedule == "plateau" else 0)
    if config.patience and better:
        trainee.keep_as_best()
    elif config.patience and progress.stale >= config.patience:
        progress.stopped = True
        display.note(f"no better validation accuracy for {config.patience} epochs: stopping early")
    if not progress.stopped and has_ended(config, progress):
        progress.stopped = True
        display.note(f"no better validation accuracy for {config.plateau} epochs at the last rate: training ends")


def has_ended(config: Config, progress: Progress) -> bool:
    """Whether the plateau after the last drop has come, and the settings say that it ends the run."""
    ends = config.schedule == "plateau" and config.last_plateau == "ends"
    return ends and progress.is_on_last_plateau(plateau=config.plateau, drops=config.drops)


def _warn_if_stuck(row: dict[str, Any], *, classes: int, display: Display) -> None:
    chance = math.log(classes)
    if classes > 1 and abs(row["train_loss"] - chance) < STUCK * chance and row["train_top1"] < 2 / classes:
        display.note(
            f"warning: the loss sits at ln({classes}) = {chance:.3f}, that of guessing: the network is not learning. "
            "Try a network with batch norm (--net vgg11_bn), --init he, a lower --lr, or --grow-from a run of net A."
        )
