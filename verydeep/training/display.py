"""What a person sees while a network trains: a live line with the time left, and a line for each epoch."""

import os
import sys
from time import monotonic
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

PLAIN_INTERVAL = 30.0  # seconds between lines where there is no terminal for a bar


class Display(Protocol):
    """Where the loop reports to."""

    def begin(self, *, title: str, steps: int, done: int) -> None:
        """The run starts at step `done` of `steps`."""

    def step(self, *, loss: float, accuracy: float) -> None:
        """A step is done; the means are those of the present epoch so far."""

    def epoch(self, row: dict[str, Any], *, seconds: float, images_per_second: float) -> None:
        """An epoch is done."""

    def note(self, text: str) -> None:
        """Something to know."""

    def end(self) -> None:
        """Nothing more will come."""


class Silent:
    """Shows nothing: processes other than the first, and quiet calls from Python."""

    def begin(self, *, title: str, steps: int, done: int) -> None:
        """See `Display`."""

    def step(self, *, loss: float, accuracy: float) -> None:
        """See `Display`."""

    def epoch(self, row: dict[str, Any], *, seconds: float, images_per_second: float) -> None:
        """See `Display`."""

    def note(self, text: str) -> None:
        """See `Display`."""

    def end(self) -> None:
        """See `Display`."""


class _Console(Console):
    """A console whose reader may go away, as in `verydeep train |& head`: the training goes on all the same."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


class Terminal:
    """A progress bar on a terminal, at most four times a second; plain lines anywhere else."""

    def __init__(self) -> None:
        self._console = _Console(file=sys.stderr, highlight=False, soft_wrap=True)
        self._bar: Progress | None = None
        self._drawn = 0.0
        self._done = self._steps = 0
        self._headed = False

    def begin(self, *, title: str, steps: int, done: int) -> None:
        """See `Display`."""
        self.note(title)
        self._done, self._steps, self._drawn = done, steps, monotonic()
        if self._console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("steps"),
                TimeRemainingColumn(),
                TextColumn("{task.fields[state]}"),
                console=self._console,
                auto_refresh=False,
                transient=True,
            )
            self._bar.start()
            self._bar.add_task("training", total=steps, completed=done, state="")

    def step(self, *, loss: float, accuracy: float) -> None:
        """See `Display`."""
        self._done += 1
        if self._bar is not None and monotonic() - self._drawn > 0.25:
            self._drawn = monotonic()
            state = f"loss {loss:.3f}  accuracy {accuracy:.3f}"
            self._bar.update(self._bar.task_ids[0], completed=self._done, state=state, refresh=True)
        elif self._bar is None and monotonic() - self._drawn > PLAIN_INTERVAL:
            self._drawn = monotonic()
            self.note(f"step {self._done:,} of {self._steps:,}: loss {loss:.4f}, top-1 {accuracy:.4f} in this epoch")

    def epoch(self, row: dict[str, Any], *, seconds: float, images_per_second: float) -> None:
        """See `Display`."""
        if not self._headed:
            self.note("epoch  train loss   top-1    val loss   top-1   seconds   images/s")
            self._headed = True
        val_loss, val_top1 = row["val_loss"], row["val_top1"]
        held_out = f"{'-':>12}{'-':>8}" if val_top1 is None else f"{val_loss:12.4f}{val_top1:8.4f}"
        self.note(
            f"{row['epoch']:5d}{row['train_loss']:12.4f}{row['train_top1']:8.4f}{held_out}"
            f"{seconds:10.1f}{images_per_second:11,.0f}"
        )

    def note(self, text: str) -> None:
        """See `Display`."""
        self._console.print(text, markup=False)

    def end(self) -> None:
        """See `Display`."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
