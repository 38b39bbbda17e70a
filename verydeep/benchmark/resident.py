"""The memory of this process as Linux counts it: how much is resident, and the most that was since it was asked."""

import ctypes
import gc
import re
import sys
from pathlib import Path

STATUS = Path("/proc/self/status")
RESET_PEAK = "5"  # proc(5), /proc/PID/clear_refs: the peak becomes what is resident now


def peak_bytes() -> int | None:
    """The most memory that was resident, since `forget_peak` or since the process began; None where nobody counts."""
    try:
        found = re.search(r"^VmHWM:\s*(\d+) kB$", STATUS.read_text(), re.MULTILINE)
    except OSError:
        return None
    return 1024 * int(found[1]) if found else None


def forget_peak() -> None:
    """Give back what is free and begin to look for the peak anew, so that building does not count."""
    gc.collect()
    if sys.platform != "linux":
        return
    try:
        ctypes.CDLL(None).malloc_trim(0)  # glibc's; freed weights would count for ever
        Path("/proc/self/clear_refs").write_text(RESET_PEAK)
    except (AttributeError, OSError):
        return  # another C library, or a /proc that may not be written: the peak of building then counts too
