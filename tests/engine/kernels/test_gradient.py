"""Gradients of drawn 3x3 convolutions by their weights, against the definition in float64."""

import ctypes
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.kernels.buffers import HERE, Buffer, address, holding
from tests.engine.kernels.convolutions import FORMS, Convolution, arguments
from tests.engine.kernels.references import Array, rounding
from tests.engine.kernels.shapes import winograd_convolutions
from verydeep.engine.library import BFLOAT16, FLOAT32, NO_POOL, OK, POOL_FLOOR, UNSUPPORTED

WORKSPACE_TOO_SMALL, BAD_SHAPE = 2, 3
METHODS = (2, 4)


def by_definition(case: Convolution, x: Array, y: Array) -> tuple[Array, Array]:
    """(k, c, 3, 3): the sums, and the roots of the sums of their terms' squares, which rounding goes by."""
    top, bottom, left, right = case.padding
    x = np.pad(np.asarray(x, np.float64), ((0, 0), (top, bottom), (left, right), (0, 0)))
    y = np.asarray(y, np.float64)
    down, across = y.shape[1:3]
    seen = [[x[:, i : i + down, j : j + across] for j in range(3)] for i in range(3)]
    sums = [[np.einsum("nhwk,nhwc->kc", y, part) for part in row] for row in seen]
    squares = [[np.einsum("nhwk,nhwc->kc", y**2, part**2) for part in row] for row in seen]
    return np.moveaxis(np.array(sums), (0, 1), (2, 3)), np.sqrt(np.moveaxis(np.array(squares), (0, 1), (2, 3)))


def found(kernels, case: Convolution, x: Array, y: Array, *, threads: int = 2, order: str = "kcij") -> Array:
    """(k, c, 3, 3); `order` is how it lies in memory, slowest first."""
    record, from_x, from_y = arguments(case, threads=threads), holding(x, case.at[0]), holding(y, case.at[1])
    record.x, record.y = from_x.map, from_y.map
    size = kernels.vd_conv_gradient_workspace_bytes(ctypes.byref(record))
    workspace = Buffer((1, 1, 1, -(-size // 4)))
    record.workspace, record.workspace_bytes = workspace.pointer(), size
    sizes = dict(zip("kcij", (case.k, case.c, 3, 3), strict=True))
    result = Buffer((1, 1, 1, case.k * case.c * 9))
    view = result.values.reshape([sizes[axis] for axis in order]).transpose([order.index(axis) for axis in "kcij"])
    strides = (ctypes.c_int64 * 4)(*(stride // 4 for stride in view.strides))
    assert kernels.vd_conv_gradient(ctypes.byref(record), address(view), strides) == OK
    for buffer in (workspace, result):
        buffer.check()
    assert from_x.values.tobytes() == x.tobytes()
    assert from_y.values.tobytes() == y.tobytes()
    return view.copy()


def maps(case: Convolution) -> tuple[Array, Array]:
    draw = np.random.default_rng(case.seed)
    x = draw.standard_normal((case.n, case.h, case.w, case.c), np.float32)
    return x, draw.standard_normal((case.n, *case.outputs(), case.k), np.float32)


def check(kernels, case: Convolution, **how) -> None:
    x, y = maps(case)
    exact, size = by_definition(case, x, y)
    terms = FORMS[case.method, FLOAT32] + rounding(case.n * np.prod(case.outputs()))
    bound = 2 * terms * size.max(initial=0.0)  # both maps are transformed in float32
    assert np.abs(found(kernels, case, x, y, **how) - exact).max() <= bound


@pytest.mark.parametrize("method", METHODS)
@settings(deadline=None, max_examples=25)
@given(data=st.data(), order=st.sampled_from(["kcij", "kijc", "ijck"]))
def test_any_gradient_is_right(kernels, method, data, order):
    case = data.draw(winograd_convolutions(method, FLOAT32))
    case = replace(case, pool=NO_POOL, add=False, relu=False)
    check(kernels, case, order=order)


@pytest.mark.parametrize("method", METHODS)
def test_sums_over_many_parts_are_right_and_the_same_for_any_number_of_threads(kernels, method):
    case = Convolution(n=40, h=27, w=30, c=37, k=70, method=method)
    check(kernels, case)
    x, y = maps(case)
    assert len({found(kernels, case, x, y, threads=threads).tobytes() for threads in (1, 2, 3, 8)}) == 1


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_what_is_not_finite_is_seen_in_the_gradient(kernels, method, value):
    case = Convolution(n=2, h=9, w=9, c=5, k=40, method=method)
    for which in (0, 1):
        spoilt = maps(case)
        spoilt[which][1, 4, 4, 3] = value
        result = found(kernels, case, *spoilt)
        assert not np.isfinite(result[:, 3] if which == 0 else result[3]).any()
        assert np.isfinite(np.delete(result, 3, axis=1 - which)).all()


@pytest.mark.parametrize(
    ("change", "answer"),
    [
        ({"method": 0}, UNSUPPORTED),
        ({"method": 6}, UNSUPPORTED),
        ({"type": BFLOAT16}, UNSUPPORTED),
        ({"pool": POOL_FLOOR}, UNSUPPORTED),
        ({"kernel": (5, 5)}, UNSUPPORTED),
        ({"stride": (2, 2)}, UNSUPPORTED),
        ({"kernel": (4, 4)}, UNSUPPORTED),
        ({}, BAD_SHAPE),
    ],
)
def test_what_has_no_such_gradient_is_refused(kernels, change, answer):
    record = arguments(replace(Convolution(method=4), **change))
    if not change:
        record.y.h += 1  # more rows than the convolution has
    assert kernels.vd_conv_gradient(ctypes.byref(record), None, None) == answer
    assert kernels.vd_conv_gradient_workspace_bytes(ctypes.byref(record)) == -1


@pytest.mark.parametrize("method", METHODS)
def test_without_images_it_is_zero(kernels, method):
    case = Convolution(n=0, h=9, w=9, c=5, k=40, method=method)
    assert not found(kernels, case, *maps(case)).any()


def test_a_workspace_that_is_too_small_is_refused(kernels):
    case = Convolution(method=4)
    x, y = maps(case)
    record, from_x, from_y = arguments(case), holding(x, HERE), holding(y, HERE)
    record.x, record.y = from_x.map, from_y.map
    record.workspace_bytes = kernels.vd_conv_gradient_workspace_bytes(ctypes.byref(record)) - 1
    assert kernels.vd_conv_gradient(ctypes.byref(record), None, None) == WORKSPACE_TOO_SMALL
