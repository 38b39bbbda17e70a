"""Convolutions as hypothesis draws them: every size, wherever the maps lie; with few enough products to be quick."""

import ctypes
from dataclasses import replace

from hypothesis import strategies as st

from tests.engine.kernels.buffers import Place
from tests.engine.kernels.convolutions import Convolution
from verydeep.engine.library import BFLOAT16, FLOAT32, INT8, NO_POOL, POOL_CEIL, POOL_FLOOR

MOST = 30_000_000  # products of one convolution
sides = st.integers(1, 70)
channels = st.integers(1, 130)
spare = st.sampled_from([0, 0, 1, 3, 16, 29])
places = st.builds(Place, spare, spare, st.integers(0, 3))


@st.composite
def direct_convolutions(draw: st.DrawFn) -> Convolution:
    """Kernels of 1 to 7 with all that the direct method takes."""
    kernel = draw(st.tuples(st.integers(1, 7), st.integers(1, 7)))
    dilation = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    padding = draw(st.tuples(*[st.integers(0, 4)] * 4))
    reach = [(kernel[i] - 1) * dilation[i] + 1 for i in (0, 1)]
    least = [max(reach[i] - padding[2 * i] - padding[2 * i + 1], 1) for i in (0, 1)]
    groups, type = draw(st.sampled_from([1, 1, 1, 2, 3, 8])), draw(st.sampled_from([FLOAT32, FLOAT32, BFLOAT16, INT8]))
    whole = _whole(groups, type)
    return _few(
        Convolution(
            n=draw(st.integers(0, 3)),
            h=draw(st.integers(least[0], 70)),
            w=draw(st.integers(least[1], 70)),
            c=whole * draw(st.integers(1, 130 // whole)),
            k=groups * draw(st.integers(1, 130 // groups)),
            kernel=kernel,
            stride=draw(st.tuples(st.integers(1, 4), st.integers(1, 4))),
            dilation=dilation,
            padding=padding,
            groups=groups,
            type=type,
            **_rest(draw),
            add=draw(st.booleans()),
        )
    )


@st.composite
def winograd_convolutions(draw: st.DrawFn, method: int, type: int, kernel: tuple[int, int] = (3, 3)) -> Convolution:
    """Square, stride 1, with a pool or an addition."""
    padding, over = draw(st.tuples(*[st.integers(0, 2)] * 4)), kernel[0] - 1
    pool = draw(st.sampled_from([NO_POOL, POOL_FLOOR, POOL_CEIL]))
    least = 2 if pool == POOL_FLOOR else 1  # of the outputs, so that something is left
    return _few(
        Convolution(
            n=draw(st.integers(0, 3)),
            h=draw(st.integers(max(least + over - padding[0] - padding[1], 1), 70)),
            w=draw(st.integers(max(least + over - padding[2] - padding[3], 1), 70)),
            c=draw(channels),
            k=draw(channels),
            kernel=kernel,
            padding=padding,
            method=method,
            type=type,
            pool=pool,
            **_rest(draw),
            add=pool == NO_POOL and draw(st.booleans()),
        )
    )


def _rest(draw: st.DrawFn) -> dict[str, object]:
    return {
        "bias": draw(st.booleans()),
        "relu": draw(st.booleans()),
        "at": draw(st.tuples(places, places, places)),
        "seed": draw(st.integers(0, 2**32 - 1)),
    }


def _whole(groups: int, type: int) -> int:
    """What the channels that are read are a multiple of."""
    return groups * (4 if type == INT8 and groups > 1 else 1)


def _few(case: Convolution) -> Convolution:
    """With fewer channels of each group where there would be too many products."""
    while case.macs() > MOST:
        case = replace(case, k=max(case.k // 2 // case.groups, 1) * case.groups)
        if case.k == case.groups:
            whole = _whole(case.groups, case.type)
            case = replace(case, c=max(case.c // 2 // whole, 1) * whole)
    return case


def pairs(values: tuple[int, int]) -> ctypes.Array[ctypes.c_int64]:
    """Two sizes as the C face takes them: vertical, horizontal."""
    return (ctypes.c_int64 * 2)(*values)
