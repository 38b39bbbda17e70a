"""One convolution for the kernels and for float64: what it is, how it is called, how far the two may be apart."""

import ctypes
from dataclasses import dataclass, replace

import numpy as np

from tests.engine.kernels.buffers import HERE, Buffer, Place, holding, row
from tests.engine.kernels.references import Array, bfloat16, convolve, pool_pairs, rounding, widened
from verydeep.engine.library import BFLOAT16, FLOAT32, INT8, INT16, NO_POOL, OK, POOL_CEIL, POOL_FLOOR, ConvArguments

WINOGRAD = (2, 4, 6)
ROUNDING = {POOL_FLOOR: "floor", POOL_CEIL: "ceil"}
LARGEST = 6.0  # of the inputs that the levels of 8 bits tell apart
FORMS = {  # (method, type): how far an output may be off, in units of the largest, beside the error of any float32 sum
    (0, FLOAT32): 0.0,
    (2, FLOAT32): 2e-6,
    (4, FLOAT32): 1e-5,
    (6, FLOAT32): 3e-5,
    (0, BFLOAT16): 4e-3,
    (0, INT8): 2e-2,
    (2, BFLOAT16): 1e-2,  # it is the transformed weights that are rounded
    (4, BFLOAT16): 4e-2,
    (2, INT16): 2e-3,
    (4, INT16): 5e-3,
}
FIVES = {(2, FLOAT32): 1e-5, (4, FLOAT32): 3e-5, (2, BFLOAT16): 4e-2, (2, INT16): 5e-3}  # the same, of 5x5 by Winograd


@dataclass(frozen=True)
class Convolution:
    """What is asked for; sizes in pixels and channels."""

    n: int = 1
    h: int = 8
    w: int = 8
    c: int = 4
    k: int = 4
    kernel: tuple[int, int] = (3, 3)
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (1, 1, 1, 1)
    groups: int = 1
    method: int = 0
    type: int = FLOAT32
    bias: bool = True
    relu: bool = False
    add: bool = False
    pool: int = NO_POOL
    largest: float = LARGEST
    at: tuple[Place, Place, Place] = (HERE, HERE, HERE)  # the maps x, y and add
    seed: int = 0

    def outputs(self) -> tuple[int, int]:
        """Rows and columns before pooling."""
        top, bottom, left, right = self.padding
        down = (self.h + top + bottom - self.dilation[0] * (self.kernel[0] - 1) - 1) // self.stride[0] + 1
        across = (self.w + left + right - self.dilation[1] * (self.kernel[1] - 1) - 1) // self.stride[1] + 1
        return down, across

    def pooled(self) -> tuple[int, int]:
        """Rows and columns that are written."""
        down, across = self.outputs()
        more = self.pool == POOL_CEIL
        return (down, across) if self.pool == NO_POOL else ((down + more) // 2, (across + more) // 2)

    def macs(self) -> int:
        """Products of the definition."""
        down, across = self.outputs()
        return self.n * down * across * self.k * self.c // self.groups * self.kernel[0] * self.kernel[1]


@dataclass(frozen=True)
class Numbers:
    """What is convolved: x (n, h, w, c), weights (k, c / groups, i, j), bias (k,) or None, add (n, h, w, k) or None."""

    x: Array
    weights: Array
    bias: Array | None
    add: Array | None


def numbers(case: Convolution) -> Numbers:
    """Drawn from the case's seed; weights of the size that training starts from, inputs for INT8 as after a ReLU."""
    draw = np.random.default_rng(case.seed)
    inputs = case.c // case.groups
    spread = (inputs * case.kernel[0] * case.kernel[1]) ** -0.5
    x = draw.standard_normal((case.n, case.h, case.w, case.c), np.float32)
    return Numbers(
        np.clip(x, 0, LARGEST) if case.type == INT8 else x,
        draw.standard_normal((case.k, inputs, *case.kernel), np.float32) * np.float32(spread),
        draw.standard_normal(case.k, np.float32) if case.bias else None,
        draw.standard_normal((case.n, *case.outputs(), case.k), np.float32) if case.add else None,
    )


def arguments(case: Convolution, *, threads: int = 1) -> ConvArguments:
    """The C face's record of a case, without memory."""
    made = ConvArguments(
        groups=case.groups,
        method=case.method,
        type=case.type,
        relu=case.relu,
        pool=case.pool,
        threads=threads,
        largest=case.largest,
    )
    made.kernel[:], made.stride[:], made.dilation[:] = case.kernel, case.stride, case.dilation
    made.padding[:] = case.padding
    made.x.n, made.x.h, made.x.w, made.x.c, made.x.pixel = case.n, case.h, case.w, case.c, case.c
    made.y.n, (made.y.h, made.y.w), made.y.c, made.y.pixel = case.n, case.pooled(), case.k, case.k
    return made


def packed(kernels: ctypes.CDLL, case: Convolution, weights: Array) -> Buffer:
    """The weights in the form that the method reads; nothing is written behind the bytes that it asks for."""
    record = ctypes.byref(arguments(case))
    wanted = kernels.vd_conv_packed_bytes(case.c, case.k, record)
    assert wanted > 0
    space = Buffer((1, 1, 1, -(-wanted // 4)))
    given = row(weights, shift=case.at[0].shift)
    assert kernels.vd_conv_pack(given.pointer(), case.c, case.k, record, space.pointer()) == OK
    space.check()
    return space


def convolved(kernels: ctypes.CDLL, case: Convolution, given: Numbers, *, threads: int = 1) -> Array:
    """What the kernel writes; that it writes nowhere else, and not into what it reads, is checked."""
    weights = packed(kernels, case, given.weights)
    x = holding(given.x, case.at[0])
    y = Buffer((case.n, *case.pooled(), case.k), case.at[1])
    read = [x, weights]
    made = arguments(case, threads=threads)
    made.x, made.y, made.weights = x.map, y.map, weights.pointer()
    if given.bias is not None:
        read.append(row(given.bias, shift=case.at[0].shift))
        made.bias = read[-1].pointer()
    if given.add is not None:
        read.append(holding(given.add, case.at[2]))
        made.add, made.add_pixel = read[-1].pointer(), read[-1].map.pixel
    kept = [buffer.values.tobytes() for buffer in read]
    made.workspace_bytes = kernels.vd_conv_workspace_bytes(ctypes.byref(made))
    workspace = Buffer((1, 1, 1, -(-made.workspace_bytes // 4)))
    made.workspace = workspace.pointer()
    assert kernels.vd_conv(ctypes.byref(made)) == OK
    for buffer, before in zip(read, kept, strict=True):
        assert buffer.values.tobytes() == before, "what is only read was changed"
        buffer.check()
    workspace.check()
    y.check()
    return y.values.copy()


def expected(case: Convolution, given: Numbers) -> tuple[Array, float]:
    """The outputs in float64, and their size: the largest, or what their terms would give if they did not cancel."""
    how = {
        "stride": case.stride,
        "dilation": case.dilation,
        "padding": case.padding,
        "groups": case.groups,
    }
    y = convolve(given.x, given.weights, **how)
    squares = convolve(np.square(given.x, dtype=np.float64), np.square(given.weights, dtype=np.float64), **how)
    for term in (given.bias, given.add):
        if term is not None:
            y, squares = y + term, squares + np.square(term, dtype=np.float64)
    size = max(np.abs(y).max(initial=0.0), np.sqrt(squares.max(initial=0.0)))
    if case.relu:
        y = np.maximum(y, 0.0)
    if case.pool != NO_POOL:
        y = pool_pairs(y, rounding=ROUNDING[case.pool])
    return y, float(size)


def reached(case: Convolution, given: Numbers) -> Array:
    """Which outputs have an infinity or a NaN in their window."""
    marked = np.where(np.isfinite(given.x), 0.0, np.nan)
    return np.isnan(expected(replace(case, bias=False, add=False), Numbers(marked, given.weights, None, None))[0])


def bound(case: Convolution) -> float:
    """How far an output may be from float64's, in units of the largest."""
    bounds = FIVES if case.method in WINOGRAD and case.kernel == (5, 5) else FORMS
    return max(bounds[case.method, case.type], rounding(case.c // case.groups * case.kernel[0] * case.kernel[1]))


def stored(case: Convolution, given: Numbers) -> Numbers:
    """With the numbers as the direct method stores them: its sums are as exact with these as with float32."""
    if case.type == BFLOAT16:
        return Numbers(given.x, widened(bfloat16(given.weights)), given.bias, given.add)
    if case.type == INT8:
        return Numbers(_levels(given.x, case.largest), _integers(given.weights), given.bias, given.add)
    return given


def _levels(x: Array, largest: float) -> Array:
    """The nearest of 0 .. 255 units, in float64."""
    return np.rint(np.clip(x * (np.float32(255) / np.float32(largest)), 0, 255)) * (np.float64(largest) / 255)


def _integers(weights: Array) -> Array:
    """The nearest of -127 .. 127 units of each output channel, in float64."""
    most = np.abs(weights).max((1, 2, 3), keepdims=True)
    steps = np.divide(np.float32(127), most, out=np.zeros_like(most), where=most > 0)
    return np.rint(weights * steps) * (np.float64(most) / 127)
