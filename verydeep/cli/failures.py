"""What went wrong, whatever it was, as an error with a code, one line and an exit code."""

import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from cyclopts import CycloptsError, UnusedCliTokensError

from verydeep.errors import ConfigError, VerydeepError
from verydeep.exhausted import exhausted

LONGEST_WORD = 200  # characters of what a user typed that are shown; some paths are long


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP; like Ctrl-C nothing takes it for a failure of its own."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


@contextmanager
def heeding_signals() -> Iterator[None]:
    """Let `kill` and a closed terminal end a command as Ctrl-C does; those that have something to save do it better."""
    before: dict[int, Any] = {}
    with suppress(ValueError):  # only the main thread may
        for number in (signal.SIGTERM, signal.SIGHUP):
            before[number] = signal.signal(number, _terminate)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _terminate(number: int, frame: FrameType | None) -> None:
    del frame
    raise Terminated(number)


def failure(error: BaseException) -> VerydeepError:
    """`error` as an error of ours; one that nobody foresaw becomes INTERNAL, with exit code 1."""
    match error:
        case VerydeepError():
            return error
        case CycloptsError():
            return _usage(error)
        case KeyboardInterrupt():
            number = error.number if isinstance(error, Terminated) else signal.SIGINT
            hint = "Nothing is left half done: call it again."
            stopped = VerydeepError(f"stopped by {signal.Signals(number).name}", code="INTERRUPTED", hint=hint)
            stopped.exit_code = 128 + number
            return stopped
        case _ if (lack := exhausted(error)) is not None:
            return lack
        case _:
            return VerydeepError(
                f"{type(error).__name__}: {error}",
                code="INTERNAL",
                hint="This is a fault of verydeep: run it again with --debug and report what it prints.",
            )


def one_line(error: VerydeepError) -> str:
    """What is printed of `error`, however long the words in it are, and with what would steer a terminal escaped."""
    text = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in error.line())
    return re.sub(rf"\S{{{LONGEST_WORD},}}", lambda word: f"{word[0][: LONGEST_WORD - 3]}...", text)


def _usage(error: CycloptsError) -> VerydeepError:
    """A command line that cannot be understood: what in it, the nearest name, where the options are listed."""
    from pydantic import ValidationError  # only where an option was refused

    if isinstance(error.__cause__, ValidationError):
        from verydeep.settings.config import out_of_range

        return out_of_range(error.__cause__)
    verb = " ".join(("verydeep", *(error.command_chain or ())))
    if isinstance(error, UnusedCliTokensError):
        text = f"`{verb}` has no use for {' '.join(error.unused_tokens or ())}"
    else:
        text = re.sub(r'^Command "[^"]*" parameter ', "", str(error)).partition(" Available commands:")[0]
    what, meant, near = text.partition(" Did you mean ")
    return ConfigError(what, code="USAGE", hint=f"{meant.lstrip()}{near}{' ' if near else ''}See `{verb} --help`.")
