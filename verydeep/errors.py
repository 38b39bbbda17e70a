"""Every failure a user can meet: what happened, where, what to do next, and the exit code a script can test."""

from collections.abc import Iterable
from difflib import get_close_matches


def choices(name: str, known: Iterable[str]) -> str:
    """What to do next for one who wrote a `name` that is not among the `known`: the nearest, or all of them."""
    names = list(known)
    near = get_close_matches(name, names, n=1)
    return f"Did you mean {near[0]}?" if near else f"Choose from {', '.join(names)}."


class VerydeepError(Exception):
    """A failure with one line for people and a stable code for scripts.

    Args:
        message: What is wrong and where: names the file, key, class, rank or option.
        code: A stable word for scripts, such as ``"CKP-CORRUPT"``.
        hint: What to do next, one sentence.
    """

    exit_code: int = 1

    def __init__(self, message: str, *, code: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.hint = hint

    def __str__(self) -> str:
        text = self.message.rstrip(".")
        return f"{text}. {self.hint}" if self.hint else text

    def line(self) -> str:
        """The one line that the command line prints on standard error."""
        return f"verydeep: error[{self.code}]: {' '.join(str(self).split())}"


class ConfigError(VerydeepError):
    """A wrong option, name, value or combination (exit code 2)."""

    exit_code = 2


class SpecError(ConfigError, ValueError):
    """A network that cannot exist: shapes that do not fit, names missing or given twice (exit code 2)."""

    def __init__(self, message: str, *, code: str = "SPEC-INVALID", hint: str = "") -> None:
        super().__init__(message, code=code, hint=hint)


class DataError(VerydeepError):
    """A data set that is missing, damaged or does not match the network's classes (exit code 3)."""

    exit_code = 3


class WeightsError(VerydeepError):
    """Weights or a checkpoint that are unreadable, untrusted or do not fit (exit code 4)."""

    exit_code = 4


class NumericalError(VerydeepError):
    """A value that is not finite, found before it could reach the weights (exit code 5)."""

    exit_code = 5


class ResourceError(VerydeepError):
    """Not enough disk, memory, file handles or shared memory (exit code 6)."""

    exit_code = 6


class WorkerError(VerydeepError):
    """A process of a distributed run or a loader worker failed (exit code 7)."""

    exit_code = 7


class VerificationError(VerydeepError):
    """A result that was checked after writing and found wrong (exit code 8)."""

    exit_code = 8
