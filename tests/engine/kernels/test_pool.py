"""Pools of drawn windows against float64."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.kernels.buffers import HERE, Buffer, holding
from tests.engine.kernels.references import pool, rounding
from tests.engine.kernels.shapes import channels, pairs, places, sides
from verydeep.engine.library import MAXIMUM, MEAN, OK

BAD_SHAPE = 3
NAMES = {MAXIMUM: "max", MEAN: "mean"}


@dataclass(frozen=True)
class Windows:
    """How many, how large, how far apart, and how far before the map the first one begins."""

    count: tuple[int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    begin: tuple[int, int]


@st.composite
def windows(draw: st.DrawFn, shape: tuple[int, int, int, int]) -> Windows:
    """Each of which holds a pixel of the map; the last may reach beyond it."""
    kernel, stride, begin, count = [], [], [], []
    for size in shape[1:3]:
        kernel.append(draw(st.integers(1, 7)))
        stride.append(draw(st.integers(1, 5)))
        begin.append(draw(st.integers(0, kernel[-1] - 1)))
        count.append(draw(st.integers(1, (size - 1 + begin[-1]) // stride[-1] + 1)))
    return Windows(tuple(count), tuple(kernel), tuple(stride), tuple(begin))


shapes = st.tuples(st.integers(0, 3), sides, sides, channels)


def pooled(kernels, x, how, *, pooling, at=(HERE, HERE), threads=2):
    given, y = holding(x, at[0]), Buffer((len(x), *how.count, x.shape[3]), at[1])
    record = [pairs(values) for values in (how.kernel, how.stride, how.begin)]
    assert kernels.vd_pool(given.map, y.map, pooling, *record, threads) == OK
    assert given.values.tobytes() == x.tobytes()
    given.check()
    y.check()
    return y.values.copy()


def by_definition(x, how, *, pooling):
    return pool(x, pooling=NAMES[pooling], kernel=how.kernel, stride=how.stride, begin=how.begin, windows=how.count)


@pytest.mark.parametrize("pooling", NAMES)
@settings(deadline=None, max_examples=25)
@given(data=st.data(), shape=shapes, at=st.tuples(places, places), seed=st.integers(0, 999))
def test_any_pool_is_right(kernels, pooling, data, shape, at, seed):
    x = np.random.default_rng(seed).standard_normal(shape, np.float32)
    how = data.draw(windows(shape))
    off = pooled(kernels, x, how, pooling=pooling, at=at) - by_definition(x, how, pooling=pooling)
    if pooling == MAXIMUM:
        assert not off.any()
    else:
        assert np.abs(off).max(initial=0.0) <= 2e-6 * np.abs(x).max(initial=0.0)


def test_the_mean_of_a_large_map_is_right(kernels):
    x = np.random.default_rng(0).random((2, 150, 131, 33), np.float32)
    how = Windows((1, 1), x.shape[1:3], (1, 1), (0, 0))
    off = pooled(kernels, x, how, pooling=MEAN) / by_definition(x, how, pooling=MEAN) - 1
    assert np.abs(off).max() <= rounding(150 * 131)


@pytest.mark.parametrize("pooling", NAMES)
@pytest.mark.parametrize("values", [(np.nan,), (np.inf,), (-np.inf,), (np.inf, -np.inf), (np.nan, -np.inf)])
def test_infinities_and_nans_reach_the_windows_that_hold_them(kernels, pooling, values):
    x = np.random.default_rng(1).standard_normal((2, 9, 11, 21), np.float32)
    draw = np.random.default_rng(2)
    for value in values * 9:
        x[tuple(draw.integers(x.shape))] = value
    how = Windows((5, 6), (3, 2), (2, 2), (1, 0))
    with np.errstate(invalid="ignore"):
        y = by_definition(x, how, pooling=pooling)
    found = pooled(kernels, x, how, pooling=pooling)
    assert np.allclose(found, y, rtol=1e-5, atol=1e-6, equal_nan=True)


def test_a_window_of_lowest_values_has_one_as_its_maximum(kernels):
    for value in (-np.inf, np.finfo(np.float32).min, np.float32(-1e-45)):
        x = np.full((1, 4, 4, 5), value, np.float32)
        assert (pooled(kernels, x, Windows((2, 2), (3, 3), (2, 2), (1, 1)), pooling=MAXIMUM) == value).all()


@pytest.mark.parametrize("pooling", NAMES)
def test_threads_and_the_rest_of_the_batch_change_no_bit(kernels, pooling):
    x = np.random.default_rng(3).standard_normal((5, 23, 17, 37), np.float32)
    how = Windows((12, 9), (3, 3), (2, 2), (1, 1))
    alone = pooled(kernels, x, how, pooling=pooling, threads=1)
    for threads in (2, 3, 8):
        assert pooled(kernels, x, how, pooling=pooling, threads=threads).tobytes() == alone.tobytes()
    for i in range(5):
        assert pooled(kernels, x[i : i + 1], how, pooling=pooling).tobytes() == alone[i].tobytes()


@pytest.mark.parametrize(
    ("kernel", "stride", "count", "n", "c"),
    [
        ((0, 2), (2, 2), (2, 2), 2, 3),
        ((2, 2), (2, 0), (2, 2), 2, 3),
        ((2, 2), (2, 2), (2, 2), 1, 3),
        ((2, 2), (2, 2), (2, 2), 2, 4),
        ((2, 2), (2, 2), (-1, 2), 2, 3),
        ((2, 2), (2, 2), (4, 2), 2, 3),  # the last window holds nothing of the map
    ],
)
def test_a_pool_that_makes_no_sense_is_refused_and_nothing_is_written(kernels, kernel, stride, count, n, c):
    x, y = holding(np.zeros((2, 5, 5, 3), np.float32)), Buffer((2, 8, 8, 4))
    y.map.n, y.map.h, y.map.w, y.map.c = n, *count, c
    before = y.values.tobytes()
    assert kernels.vd_pool(x.map, y.map, MAXIMUM, pairs(kernel), pairs(stride), pairs((0, 0)), 1) == BAD_SHAPE
    assert y.values.tobytes() == before
