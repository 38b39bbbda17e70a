"""Ctrl-C, SIGTERM and a closed terminal: while steps are taken the handler sets a flag, and the loop saves first."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from verydeep.errors import VerydeepError

CAUGHT = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(VerydeepError):  # noqa: N818 - it is a wish, not an error
    """A signal ended the run; the exit code is 128 plus the signal's number, the hint is how to go on."""

    def __init__(self, number: int, *, hint: str) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}", code="INTERRUPTED", hint=hint)
        self.exit_code = 128 + number


class Stop:
    """What a signal does: raise at once while nothing is to be saved, else leave its number for the loop to find."""

    __slots__ = ("_waiting", "hint", "number")

    def __init__(self) -> None:
        self.number = 0  # of the first signal that came; 0 while none has
        self.hint = "Nothing was trained yet."
        self._waiting = False

    @contextmanager
    def waits(self) -> Iterator[None]:
        """Within this block a signal only sets `number`."""
        self._waiting = True
        try:
            yield
        finally:
            self._waiting = False

    def receive(self, number: int) -> None:
        """A signal has come. A second Ctrl-C does not wait any more."""
        if not self._waiting or (self.number and number == signal.SIGINT):
            raise Interrupted(number, hint=self.hint)
        self.number = self.number or number


@contextmanager
def stopping() -> Iterator[Stop]:
    """Catch the signals of `CAUGHT`; outside the main thread Python can set no handlers, and nothing is caught."""
    stop = Stop()

    def handle(number: int, frame: FrameType | None) -> None:
        del frame
        stop.receive(number)

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
