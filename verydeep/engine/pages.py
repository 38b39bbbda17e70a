"""Large pages for arrays that are read in one go: a processor looks up a page's place five hundred times less often."""

import ctypes
import sys
from typing import Any

import numpy.typing as npt

PAGE = 4096
MADV_COLLAPSE = 25  # <linux/mman.h>; Linux 6.1 and later, others refuse it
WORTH = 2**22  # bytes


def gather(array: npt.NDArray[Any]) -> None:
    """Ask the system to move an array's memory to large pages, where it stays as it is; it may refuse."""
    if not sys.platform.startswith("linux") or array.nbytes < WORTH:
        return
    begin = -(-array.ctypes.data // PAGE) * PAGE
    end = (array.ctypes.data + array.nbytes) // PAGE * PAGE
    ctypes.CDLL(None).madvise(ctypes.c_void_p(begin), ctypes.c_size_t(end - begin), MADV_COLLAPSE)
