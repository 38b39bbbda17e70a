"""Waiting until a process computes no more: the threads of many engines wait at full speed for the next call.

They shall, because within a call that is quicker than to be woken. So no engine is told to be passive; the next one is
asked only when all threads of the last one sleep (Linux; elsewhere after a moment).
"""

import time
from pathlib import Path

PATIENCE = 0.5  # seconds; Intel's OpenMP waits 0.2 s at full speed, GNU's a few ms
PAUSE = 0.002  # seconds between two looks
MOMENT = 0.25  # seconds, where nobody tells who sleeps


def wait_until_asleep(process: int) -> bool:
    """Whether all threads of a process sleep, at the latest after PATIENCE."""
    threads = Path(f"/proc/{process}/task")
    if not threads.is_dir():
        time.sleep(MOMENT)
        return True
    end = time.monotonic() + PATIENCE
    while any(_computes(thread) for thread in threads.glob("*/stat")):
        if time.monotonic() > end:
            return False
        time.sleep(PAUSE)
    return True


def _computes(thread: Path) -> bool:
    try:
        state = thread.read_text().rpartition(") ")[2]
    except OSError:  # it has ended
        return False
    return state.startswith("R")
