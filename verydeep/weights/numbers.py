"""Arrays of any floating-point type as float32, the type in which networks hold their weights."""

from typing import Any

import numpy as np
import numpy.typing as npt

from verydeep.errors import WeightsError

Float32 = npt.NDArray[np.float32]


def as_float32(name: str, array: npt.NDArray[Any]) -> Float32:
    """`array` in float32; no copy where it is that already. float16 is exact, float64 is rounded.

    Raises:
        WeightsError: it holds no floating-point numbers, or a value that float32 cannot hold, NaN or infinity.
    """
    if array.dtype.kind != "f":
        raise WeightsError(
            f"{name} holds {array.dtype} values, not floating-point numbers",
            code="WEIGHTS-DTYPE",
            hint="Convert quantised or integer weights back where they were made.",
        )
    with np.errstate(over="ignore"):  # what becomes infinite is refused below
        converted = array.astype(np.float32, copy=False)
    if not np.isfinite(converted).all():
        count = int(np.count_nonzero(~np.isfinite(converted)))
        raise WeightsError(
            f"{name}: {count} of {array.size} values are NaN, infinite or too large for float32",
            code="WEIGHTS-NONFINITE",
            hint="The training that made them has diverged; take an earlier checkpoint.",
        )
    return converted


def from_bfloat16(data: bytes | bytearray) -> Float32:
    """The little-endian bfloat16 numbers in `data`, exactly: each is the upper half of a float32."""
    return (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32)
