"""What the child that reads a stranger's file says to its parent: frames of one letter, a length and content.

First a frame of JSON with the names, types and shapes of all arrays and what else the file says, then one frame for
each array, in that order. An error may come at any place and is the last. Nothing is pickled: the child may be in the
hands of the file's author, so the parent takes each frame for a claim that it checks.
"""

import struct
from dataclasses import dataclass
from typing import Any, cast

HEADER, ARRAY, ERROR = b"h", b"a", b"e"
FRAME = struct.Struct("<cQ")

TYPES = {"<f2", "<f4", "<f8", "|i1", "<i2", "<i4", "<i8", "|u1", "<u2", "<u4", "<u8", "|b1"}  # of NumPy, little-endian

MEGABYTE = 1_000_000
MOST_HEADER = 8 * MEGABYTE  # bytes; the names of ResNet-152 need 0.1 MB, a mean image of 224 x 224 as text 3 MB
MOST_ERROR = 10_000  # bytes
MOST_ARRAYS = 100_000
MOST_AXES = 32
MOST_NAME = 4000  # letters; an HDF5 path has several names in it


def most_array_bytes(file_bytes: int) -> int:
    """All arrays together may have so many bytes: trained weights hardly compress, small files may hold zeros."""
    return 2 * file_bytes + 64 * MEGABYTE


@dataclass(frozen=True, slots=True)
class Claim:
    """An array that the child announces."""

    name: str
    dtype: str  # one of TYPES
    shape: tuple[int, ...]
    nbytes: int


def claims(value: Any) -> list[Claim]:
    """The announced arrays, each checked by itself; ValueError where `value` is not such a list."""
    entries = cast("list[Any]", value) if isinstance(value, list) else []
    if len(entries) > MOST_ARRAYS or entries != value:
        raise ValueError("no list of arrays, or a too long one")
    found = [_claim(entry) for entry in entries]
    if len({claim.name for claim in found}) != len(found):
        raise ValueError("a name is given twice")
    return found


def _claim(entry: Any) -> Claim:
    name, dtype, shape = entry
    if not isinstance(name, str) or not name.isprintable() or len(name) > MOST_NAME:
        raise ValueError("a name that cannot be")
    if not isinstance(dtype, str) or dtype not in TYPES:
        raise ValueError("a type that cannot be")
    if not isinstance(shape, list):
        raise ValueError("no shape")
    lengths = tuple(cast("list[Any]", shape))
    if len(lengths) > MOST_AXES:
        raise ValueError("too many axes")
    nbytes = int(dtype[2:])
    for length in lengths:
        if type(length) is not int or not 0 <= length < 2**48:
            raise ValueError("no length of an axis")
        nbytes *= length
    return Claim(name, dtype, lengths, nbytes)
