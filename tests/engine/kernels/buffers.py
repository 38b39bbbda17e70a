"""Memory as a kernel may meet it: maps that are slices of wider ones, not aligned, with something else all around."""

import ctypes
import os
import weakref
from dataclasses import dataclass

import numpy as np

from verydeep.engine.library import Map

LINE = 64  # bytes that a processor fetches at once
GUARD = 64  # floats before a buffer and behind it
PATTERN = 0x7FC0DEAD  # a NaN: whoever reads it spoils his sums, whoever writes over it is seen
SANITIZED = bool(os.environ.get("LD_PRELOAD"))  # then a look behind a buffer is seen too, if it ends where memory ends


@dataclass(frozen=True)
class Place:
    """Where a map lies: channels of a wider map before and after its own, and floats from a multiple of 64 bytes."""

    before: int = 0
    after: int = 0
    shift: int = 0


HERE = Place()


class Buffer:
    """A map as NumPy sees it (`values`: n, h, w, c), as the kernels see it (`map`), and what lies around it."""

    def __init__(self, shape: tuple[int, int, int, int], place: Place = HERE, *, read_only: bool = False) -> None:
        n, h, w, c = shape
        pixel = place.before + c + place.after
        self._memory = floats(GUARD + place.shift + n * h * w * pixel, behind=0 if read_only and SANITIZED else GUARD)
        wide = self._memory[GUARD + place.shift :][: n * h * w * pixel].reshape(n, h, w, pixel)
        self.values = wide[..., place.before : place.before + c]
        self.map = Map(address(wide) + 4 * place.before, n, h, w, c, pixel)
        self._start = GUARD + place.shift + place.before

    def pointer(self) -> int:
        """Of the first float."""
        return self.map.data

    def check(self) -> None:
        """Nothing was written beside the map."""
        bits = self._memory.view(np.uint32).copy()
        inside = bits[self._start :]
        strides = [stride // 4 * 4 for stride in self.values.strides]
        np.lib.stride_tricks.as_strided(inside, self.values.shape, strides)[...] = PATTERN
        assert (bits == PATTERN).all(), "written outside of the map"


def holding(values: np.ndarray, place: Place = HERE) -> Buffer:
    """A map with these values, (n, h, w, c), to be read."""
    buffer = Buffer(values.shape, place, read_only=True)
    buffer.values[...] = values
    return buffer


def row(values: np.ndarray, *, shift: int = 0) -> Buffer:
    """Any array in one piece."""
    return holding(np.ascontiguousarray(values, np.float32).reshape(1, 1, 1, -1), Place(shift=shift))


def floats(count: int, *, behind: int = GUARD) -> np.ndarray:
    """So many floats and those behind, all of them the pattern, from a multiple of 64 bytes on."""
    libc, place, size = ctypes.CDLL(None), ctypes.c_void_p(), 4 * (count + behind)
    assert libc.posix_memalign(ctypes.byref(place), LINE, ctypes.c_size_t(max(size, 1))) == 0
    block = (ctypes.c_uint32 * (count + behind)).from_address(place.value or 0)
    weakref.finalize(block, libc.free, ctypes.c_void_p(place.value))
    memory = np.frombuffer(block, np.uint32) if count + behind else np.zeros(0, np.uint32)
    memory[...] = PATTERN
    return memory.view(np.float32)


def address(values: np.ndarray) -> int:
    """Where an array begins."""
    return values.__array_interface__["data"][0]
