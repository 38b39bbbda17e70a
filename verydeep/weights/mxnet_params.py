"""Reading a .params file of MXNet without MXNet: a list of arrays, each with its own header, then a list of names.

Numbers are little-endian. The layout is that of `NDArray::Save` and `NDArray::LegacyLoad` in src/ndarray/ndarray.cc
(github.com/apache/mxnet): `nd.save` and `save_parameters` of 1.x write version 2, or 3 under NumPy semantics; files
from before 2018 are of version 1 or of none. Module checkpoints say "arg:" or "aux:" before each name.
"""

import math
import struct
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from verydeep.errors import WeightsError
from verydeep.weights import refusals

Array = npt.NDArray[Any]

FILE = 0x112
VERSIONS = {0xF993FAC8: 1, 0xF993FAC9: 2, 0xF993FACA: 3}  # how a header begins
DENSE = 0  # the storage type; others are sparse
FLOATS = {0: "<f4", 1: "<f8", 2: "<f2"}  # mshadow's numbers of types

MOST_ARRAYS = 100_000
MOST_AXES = 8
MOST_NAME = 500  # bytes
ROLES = ("arg:", "aux:")  # of Module checkpoints: learned, and running statistics


def parse(file: BinaryIO) -> tuple[dict[str, Array], dict[str, Any]]:
    """The arrays by name, without "arg:" and "aux:", as views of what was read; MXNet says nothing besides.

    Raises:
        WeightsError: it is no whole .params file, or holds other than named dense floating-point arrays.
    """
    reader = _Reader(memoryview(file.read()))
    magic, reserved = reader.take("<QQ")
    if (magic, reserved) != (FILE, 0):
        raise refusals.damaged("it does not begin as an MXNet file does")
    arrays = [_array(reader, number) for number in range(1, _count(reader) + 1)]
    names = [_name(reader) for _ in range(_count(reader))]
    if arrays and not names:
        raise refusals.foreign("its arrays have no names", hint="Save a dict of arrays, or the whole model.")
    if len(names) != len(arrays) or len(set(names)) != len(names):
        raise refusals.damaged(f"it has {len(arrays)} arrays and {len(set(names))} different names")
    if reader.rest:
        raise refusals.damaged(f"{reader.rest} bytes follow the names")
    return dict(zip(names, arrays, strict=True)), {}


class _Reader:
    """What has not been read yet; nothing is allocated before it is known to be there."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._place = 0

    @property
    def rest(self) -> int:
        """How many bytes are left."""
        return len(self._data) - self._place

    def bytes(self, count: int) -> memoryview:
        """The next `count` bytes."""
        if count > self.rest:
            raise refusals.damaged(f"it ends {count - self.rest} bytes too early")
        self._place += count
        return self._data[self._place - count : self._place]

    def take(self, layout: str) -> tuple[int, ...]:
        """The next numbers, as `struct` writes their layout."""
        return struct.unpack(layout, self.bytes(struct.calcsize(layout)))


def _count(reader: _Reader) -> int:
    (count,) = reader.take("<Q")
    if count > MOST_ARRAYS:
        raise refusals.damaged(f"it claims {count} arrays")
    return count


def _array(reader: _Reader, number: int) -> Array:
    """The next array; `number` counts from 1, because the names come last."""
    shape = _shape(reader, number)
    _device, _device_number, kind = reader.take("<iii")
    if kind not in FLOATS:
        raise WeightsError(
            f"array {number} holds no floating-point numbers (MXNet's type {kind})",
            code="WEIGHTS-DTYPE",
            hint="Convert quantised or integer weights back where they were made.",
        )
    dtype = np.dtype(FLOATS[kind])
    return np.frombuffer(reader.bytes(math.prod(shape) * dtype.itemsize), dtype).reshape(shape)


def _shape(reader: _Reader, number: int) -> tuple[int, ...]:
    """The header of an array up to its shape."""
    (magic,) = reader.take("<I")
    version = VERSIONS.get(magic, 0)
    if version >= 2 and reader.take("<i") != (DENSE,):
        raise refusals.foreign(f"array {number} is sparse", hint="Make it dense in MXNet: array.tostype('default').")
    axes = reader.take("<i")[0] if version else magic  # the oldest files begin with the number of axes
    if not 0 <= axes <= MOST_AXES or (axes == 0 and version < 3):
        raise refusals.damaged(f"array {number} has {axes} axes")
    shape = reader.take(f"<{axes}q" if version else f"<{axes}I")
    if min(shape, default=1) < 1:
        raise refusals.damaged(f"array {number} is {' x '.join(map(str, shape))}")
    return shape


def _name(reader: _Reader) -> str:
    (length,) = reader.take("<Q")
    if length > MOST_NAME:
        raise refusals.damaged(f"a name of {length} bytes")
    name = bytes(reader.bytes(length)).decode("utf-8", "replace")
    if not name.isprintable():
        raise refusals.damaged(f"{name!r} is no name")
    for role in ROLES:
        name = name.removeprefix(role)
    return name
