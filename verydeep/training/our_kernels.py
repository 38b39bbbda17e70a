"""Our kernels beside PyTorch's in training: on the same threads, and never refused."""

import ctypes
from contextlib import suppress
from functools import cache
from pathlib import Path

from verydeep.engine import library
from verydeep.errors import VerydeepError


@cache
def share_threads() -> None:
    """Let our kernels compute on PyTorch's threads, which keep a core busy for a while after each operation."""
    if library.why_not() is not None:
        return
    maps = Path("/proc/self/maps")
    lines = maps.read_text(errors="surrogateescape").splitlines() if maps.exists() else []
    paths = {line.split(maxsplit=5)[5] for line in lines if "libgomp" in line}
    if len(paths) != 1:
        return
    with suppress(OSError, AttributeError):  # it was replaced since it was loaded, or is not what it is called
        library.load().vd_share_with(ctypes.cast(ctypes.CDLL(paths.pop()).GOMP_parallel, ctypes.c_void_p))


def check(answer: int) -> None:
    """Nothing where a kernel has computed; it is only asked for what it takes, so anything else is our fault."""
    if answer != library.OK:
        raise VerydeepError(
            f"a kernel refuses with {answer} what it should take",
            code="INTERNAL",
            hint="This is a fault of verydeep: report it with the network and the size of the images.",
        )
