"""Ctrl-C, SIGTERM and a closed terminal: the handler only sets a flag, the loop saves and stops after the step."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from verydeep.errors import VerydeepError

CAUGHT = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(VerydeepError):  # noqa: N818 - it is a wish, not an error
    """A signal ended the run after it was saved; the exit code is 128 plus the signal's number."""

    def __init__(self, number: int, *, resume: str) -> None:
        name = signal.Signals(number).name
        super().__init__(f"stopped by {name}; everything is saved", code="INTERRUPTED", hint=f"Go on with: {resume}")
        self.exit_code = 128 + number


class Stop:
    """The number of the first signal that came, 0 while none has."""

    __slots__ = ("number",)

    def __init__(self) -> None:
        self.number = 0


@contextmanager
def stopping() -> Iterator[Stop]:
    """Catch the signals of `CAUGHT` into a `Stop`; a second Ctrl-C interrupts at once.

    Outside the main thread Python can set no handlers: there the flag stays 0.
    """
    stop = Stop()

    def handle(number: int, frame: FrameType | None) -> None:
        del frame
        if stop.number and number == signal.SIGINT:
            raise KeyboardInterrupt
        stop.number = stop.number or number

    previous: dict[int, object] = {}
    try:
        for number in CAUGHT:
            previous[number] = signal.signal(number, handle)
    except ValueError:
        previous.clear()
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
