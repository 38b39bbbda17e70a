"""What the C library does with large blocks of memory that training frees and asks for again in every step."""

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # names and numbers of glibc's malloc.h
NEVER = 2**31 - 1


def keep_large_blocks() -> None:
    """Keep freed memory in this process until it ends, whoever freed it; nothing where the C library is not glibc.

    glibc gives a block of more than 32 MB back to the system as soon as it is freed. The next step asks for it again
    and the system fills it with zeros, page by page: for the gradient of a 4096x4096 layer that takes longer than its
    product in bf16.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, NEVER)
