"""What a user asked a benchmark for, checked before anything is built."""

import re
from collections.abc import Sequence
from typing import TypeVar

from verydeep.benchmark.engines.catalog import ENGINES, PRECISIONS, known, why_not
from verydeep.errors import ConfigError, choices
from verydeep.record.machine import cores
from verydeep.spec import Pair

T = TypeVar("T")

MOST_THREADS = 1024
_SIZE = re.compile(r"([1-9]\d{0,4})(?:x([1-9]\d{0,4}))?")


def words(text: str) -> tuple[str, ...]:
    """The words of a list with commas, without blanks around them."""
    return tuple(word.strip() for word in text.split(",") if word.strip())


def counts(text: str, *, option: str) -> tuple[int, ...]:
    """The whole numbers of a list such as "1,8"; ConfigError where one is none, or less than 1."""
    found = words(text)
    if not found or not all(re.fullmatch(r"[1-9]\d{0,5}", word) for word in found):
        raise ConfigError(f"{option} is {text!r}", code="OPTION-VALUE", hint=f"Give whole numbers, as {option} 1,8.")
    return tuple(dict.fromkeys(map(int, found)))


def sizes(text: str) -> tuple[Pair, ...]:
    """(height, width) of each size in a list such as "224,512x384"; ConfigError where one is none."""
    matches = [_SIZE.fullmatch(word) for word in words(text)]
    if not matches or None in matches:
        raise ConfigError(
            f"--size is {text!r}", code="OPTION-VALUE", hint="Give pixels, N or HEIGHTxWIDTH, as --size 224,512x384."
        )
    return tuple(dict.fromkeys((int(one[1]), int(one[2] or one[1])) for one in matches if one is not None))


def at_least_one(value: int, *, option: str, most: int = 100_000) -> int:
    """`value`; ConfigError, code OPTION-VALUE, where it is below 1 or above `most`."""
    if not 1 <= value <= most:
        raise ConfigError(f"{option} must lie between 1 and {most:,}, got {value:,}", code="OPTION-VALUE")
    return value


def at_most_one(values: Sequence[T], *, option: str) -> T | None:
    """The one value of an option that takes lists elsewhere, None where there is none; ConfigError for more."""
    if len(values) > 1:
        raise ConfigError(f"{option} has {len(values)} values here", code="OPTION-VALUE", hint="Give one of them.")
    return values[0] if values else None


def threads_of(threads: int | None) -> int:
    """The threads that each engine computes with; None is one for each processor that this process may use."""
    return cores() if threads is None else at_least_one(threads, option="threads", most=MOST_THREADS)


def precisions_of(names: Sequence[str]) -> tuple[str, ...]:
    """`names` once each; ConfigError where one is no precision."""
    for name in names:
        if name not in PRECISIONS:
            raise ConfigError(
                f"there is no precision {name!r}", code="PRECISION-UNKNOWN", hint=choices(name, PRECISIONS)
            )
    return tuple(dict.fromkeys(names)) or PRECISIONS[:1]


def engines_of(names: Sequence[str] | None, *, precisions: Sequence[str]) -> tuple[str, ...]:
    """The engines that were asked for, or all.

    Raises:
        ConfigError: code ENGINE-UNKNOWN, no engine has this name; ENGINE-UNAVAILABLE, one that was named runs here in
            none of the `precisions`: says why, and which run.
    """
    if names is None:
        return tuple(ENGINES)
    found = known(names)
    if not found:
        raise ConfigError("no engine is named", code="ENGINE-UNKNOWN", hint=f"Choose from {', '.join(ENGINES)}.")
    for name in found:
        reasons = {precision: why_not(name, precision=precision) for precision in precisions}
        if all(reasons.values()):
            able = [one for one in ENGINES if any(why_not(one, precision=each) is None for each in precisions)]
            raise ConfigError(
                f"{name} cannot run here: {'; '.join(dict.fromkeys(filter(None, reasons.values())))}",
                code="ENGINE-UNAVAILABLE",
                hint=f"These can: {', '.join(able)}." if able else "",
            )
    return found
