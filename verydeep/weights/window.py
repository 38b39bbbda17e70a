"""A part of an open file as a file of its own: a member of an archive, read where it lies."""

import io
import os
from typing import Any, BinaryIO


class Window(io.RawIOBase):
    """Read-only bytes `start` to `start + size` of `file`, which stays open and belongs to the caller."""

    def __init__(self, file: BinaryIO, *, start: int, size: int) -> None:
        self._file = file
        self._start = start
        self._size = size
        self._at: int = 0

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move, within the window or behind its end."""
        base: int = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise ValueError("a place before the beginning")
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        """Where the next read begins."""
        return self._at

    def readinto(self, buffer: Any, /) -> int:
        """Read up to the end of the window."""
        view = memoryview(buffer).cast("B")
        wanted = view[: max(0, self._size - self._at)]
        self._file.seek(self._start + self._at)
        done: int = 0
        while done < len(wanted):
            part = self._file.read(min(len(wanted) - done, 1 << 20))
            if not part:
                break
            wanted[done : done + len(part)] = part
            done += len(part)
        self._at += done
        return done
