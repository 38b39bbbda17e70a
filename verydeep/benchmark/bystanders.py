"""Who else computes on this machine: a time that is taken beside others says little (Linux; nobody knows elsewhere)."""

import os
import resource
import time
from dataclasses import dataclass
from pathlib import Path

STAT = Path("/proc/stat")
LOOK = 0.5  # seconds of the look before a contest
IDLE = 0.15  # processors that others may use before a reader is warned: a shell, a clock, this look


@dataclass(frozen=True, slots=True)
class Watch:
    """What was seen before, and where the counters stood when the watch began."""

    before: float | None  # processors that others used just before; None where nobody counts
    clock: float  # seconds, as the three below
    busy: float | None  # of the processors that this process may use, whoever used them
    own: float  # of this process and those of its children that have ended


def begin() -> Watch:
    """Look for a moment who computes now, and begin to watch."""
    first = _from_now(None)
    if first.busy is not None:
        time.sleep(LOOK)
    return _from_now(others(first))


def others(watch: Watch) -> float | None:
    """How many processors others used on average since then, 0 or more; None where nobody counts."""
    busy, seconds = busy_seconds(STAT), time.monotonic() - watch.clock
    if busy is None or watch.busy is None or seconds <= 0:
        return None
    return max(0.0, (busy - watch.busy) - (_own_seconds() - watch.own)) / seconds


def warning(before: float | None, during: float | None) -> str | None:
    """One line where others computed too, before or during a contest; None on an idle machine."""
    known = [f"{used:.1f} {when}" for used, when in ((before, "before"), (during, "during the run")) if _disturbs(used)]
    if not known:
        return None
    used = " and ".join(known)
    return f"the machine was not idle: processors that others used: {used}; ratios hold better than times"


def busy_seconds(stat: Path) -> float | None:
    """What the processors that this process may use have computed since the machine started; None without `stat`."""
    try:
        lines = [line.split() for line in stat.read_text().splitlines() if line.startswith("cpu")]
    except OSError:
        return None
    mine = {f"cpu{number}" for number in os.sched_getaffinity(0)}
    return sum(_busy([int(ticks) for ticks in line[1:]]) for line in lines if line[0] in mine)


def _from_now(before: float | None) -> Watch:
    return Watch(before, time.monotonic(), busy_seconds(STAT), _own_seconds())


def _busy(ticks: list[int]) -> float:
    """The seconds of one line of /proc/stat: all but idle (3), waiting for disks (4), and guests, counted in user."""
    return (sum(ticks[:8]) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")


def _own_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _disturbs(used: float | None) -> bool:
    return used is not None and used > IDLE
