"""What is done to each pixel alone (scale, sum, tanh, response normalisation), and the order of memory."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.kernels.buffers import HERE, Buffer, Place, holding, row
from tests.engine.kernels.references import lrn
from tests.engine.kernels.shapes import channels, places, sides
from verydeep.engine.library import OK

drawn = settings(deadline=None, max_examples=20)
shapes = st.tuples(st.integers(0, 3), sides, sides, channels).filter(lambda shape: np.prod(shape) < 500_000)
seeds = st.integers(0, 999)


def normal(shape, seed):
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def mapped(kernels, step, inputs, *, at=(HERE, HERE, HERE), threads=2):
    """What a step writes, which takes the kernels, the maps that are read, the one that is written, and threads."""
    read = [holding(values, place) for values, place in zip(inputs, at, strict=False)]
    y = Buffer(inputs[0].shape, at[-1])
    assert step(kernels, *(buffer.map for buffer in read), y.map, threads) == OK
    for buffer, values in zip(read, inputs, strict=True):
        assert buffer.values.tobytes() == values.tobytes()
        buffer.check()
    y.check()
    return y.values.copy()


def affine(scale, shift, *, relu=False):
    """y = x * scale + shift; vectors of one float for each channel, or None."""
    rows = [None if values is None else row(values, shift=1) for values in (scale, shift)]
    pointers = [None if buffer is None else buffer.pointer() for buffer in rows]

    def step(kernels, x, y, threads, _kept=rows):
        return kernels.vd_affine(x, y, *pointers, relu, threads)

    return step


def tanh(kernels, x, y, threads):
    return kernels.vd_tanh(x, y, threads)


def added(kernels, a, b, y, threads):
    return kernels.vd_add(a, b, y, 0, threads)


def added_relu(kernels, a, b, y, threads):
    return kernels.vd_add(a, b, y, 1, threads)


def normalised(size, alpha, beta, k):
    return lambda kernels, x, y, threads: kernels.vd_lrn(x, y, size, alpha, beta, k, threads)


@drawn
@given(
    shape=shapes,
    at=st.tuples(places, places),
    scaled=st.booleans(),
    shifted=st.booleans(),
    relu=st.booleans(),
    seed=seeds,
)
def test_any_scale_and_shift_is_right(kernels, shape, at, scaled, shifted, relu, seed):
    x = normal(shape, seed)
    scale, shift = (normal(shape[3], seed + part) if wanted else None for part, wanted in ((1, scaled), (2, shifted)))
    y = x * np.float64(1 if scale is None else scale) + (0 if shift is None else shift)
    found = mapped(kernels, affine(scale, shift, relu=relu), [x], at=at)
    assert np.abs(found - (np.maximum(y, 0) if relu else y)).max(initial=0) <= 1e-6 * np.abs(y).max(initial=0)
    if not scaled and not shifted and not relu:
        assert found.tobytes() == x.tobytes()


@drawn
@given(shape=shapes, at=st.tuples(places, places, places), relu=st.booleans(), seed=seeds)
def test_any_sum_is_exact(kernels, shape, at, relu, seed):
    a, b = normal(shape, seed), normal(shape, seed + 1)
    found = mapped(kernels, added_relu if relu else added, [a, b], at=at)
    assert (found == (np.maximum(a + b, 0) if relu else a + b)).all()


@drawn
@given(shape=shapes, at=st.tuples(places, places), scale=st.sampled_from([1e-30, 1e-3, 1.0, 10.0, 1e30]), seed=seeds)
def test_any_tanh_is_right(kernels, shape, at, scale, seed):
    x = normal(shape, seed) * np.float32(scale)
    y = np.tanh(x.astype(np.float64))
    found = mapped(kernels, tanh, [x], at=at)
    assert (np.abs(found - y) <= 2e-6 * np.abs(y) + 2e-45).all()
    assert (np.abs(found) <= 1).all()


@drawn
@given(
    shape=shapes,
    at=st.tuples(places, places),
    size=st.sampled_from([1, 3, 5, 9]),
    alpha=st.sampled_from([1e-4, 2e-5, 1.0]),
    beta=st.sampled_from([0.75, 0.5, 1.0]),
    k=st.sampled_from([1.0, 2.0]),
    scale=st.sampled_from([1.0, 100.0]),
    seed=seeds,
)
def test_any_response_normalisation_is_right(kernels, shape, at, size, alpha, beta, k, scale, seed):
    x = normal(shape, seed) * np.float32(scale)
    y = lrn(x, size=size, alpha=alpha, beta=beta, k=k)
    found = mapped(kernels, normalised(size, alpha, beta, k), [x], at=at)
    assert (np.abs(found - y) <= 3e-6 * np.abs(y)).all()


@drawn
@given(shape=shapes, at=places, seed=seeds)
def test_planes_and_pixels_hold_the_same_values(kernels, shape, at, seed):
    n, h, w, c = shape
    planes = normal((n, c, h, w), seed)
    given_planes, y = row(planes, shift=at.shift), Buffer(shape, at)
    assert kernels.vd_from_planes(given_planes.pointer(), y.map, 2) == OK
    y.check()
    assert (y.values == planes.transpose(0, 2, 3, 1)).all()
    back = Buffer((1, 1, 1, planes.size), Place(shift=at.shift))
    assert kernels.vd_to_planes(holding(y.values, at).map, back.pointer(), 2) == OK
    back.check()
    assert back.values.tobytes() == planes.tobytes()


STEPS = {
    "affine": (affine(normal(21, 1), normal(21, 2)), 1),
    "affine and ReLU": (affine(normal(21, 1), normal(21, 2), relu=True), 1),
    "copy": (affine(None, None), 1),
    "tanh": (tanh, 1),
    "add": (added, 2),
    "add and ReLU": (added_relu, 2),
    "lrn": (normalised(5, 1e-4, 0.75, 2.0), 1),
}
each_step = pytest.mark.parametrize(("step", "inputs"), STEPS.values(), ids=STEPS.keys())


@each_step
def test_threads_and_the_rest_of_the_batch_change_no_bit(kernels, step, inputs):
    given_maps = [normal((5, 9, 31, 21), seed) for seed in range(inputs)]
    alone = mapped(kernels, step, given_maps, threads=1)
    for threads in (2, 3, 8):
        assert mapped(kernels, step, given_maps, threads=threads).tobytes() == alone.tobytes()
    for i in range(5):
        one = [values[i : i + 1] for values in given_maps]
        assert mapped(kernels, step, one).tobytes() == alone[i].tobytes()


@each_step
def test_the_result_may_be_written_where_the_input_was(kernels, step, inputs):
    if step is STEPS["lrn"][0]:
        return  # reads its neighbours
    given_maps = [normal((2, 5, 7, 21), seed) for seed in range(inputs)]
    wanted = mapped(kernels, step, given_maps)
    x, *others = [Buffer(values.shape, Place(1, 2, 3)) for values in given_maps]
    for buffer, values in zip((x, *others), given_maps, strict=True):
        buffer.values[...] = values
    assert step(kernels, x.map, *(buffer.map for buffer in others), x.map, 2) == OK
    x.check()
    assert x.values.tobytes() == wanted.tobytes()


@each_step
def test_an_infinity_or_nan_stays_where_it_is(kernels, step, inputs):
    given_maps = [normal((2, 5, 7, 21), seed) for seed in range(inputs)]
    ordinary = mapped(kernels, step, given_maps)
    spoilt = {(0, 2, 3, 0): np.nan, (0, 4, 6, 20): np.inf, (1, 0, 0, 9): -np.inf, (1, 1, 1, 16): np.nan}
    for place, value in spoilt.items():
        given_maps[0][place] = value
    found = mapped(kernels, step, given_maps)
    near = np.zeros(found.shape, bool)
    reach = 2 if step is STEPS["lrn"][0] else 0  # channels
    for n, h, w, c in spoilt:
        near[n, h, w, max(c - reach, 0) : c + reach + 1] = True
    assert (found[~near] == ordinary[~near]).all()
    assert np.isnan(found[0, 2, 3, 0]) and np.isnan(found[1, 1, 1, 16])
    if step is tanh:
        assert found[0, 4, 6, 20] == 1 and found[1, 0, 0, 9] == -1
    if step is added:
        assert found[0, 4, 6, 20] == np.inf and found[1, 0, 0, 9] == -np.inf
    if step is added_relu:
        assert found[0, 4, 6, 20] == np.inf and found[1, 0, 0, 9] == 0


@each_step
@pytest.mark.parametrize("part", ["n", "h", "w", "c", "pixel"])
def test_maps_that_do_not_fit_are_refused_and_nothing_is_written(kernels, step, inputs, part):
    read = [holding(normal((2, 5, 7, 21), seed)) for seed in range(inputs)]
    y = Buffer((3, 6, 8, 22))
    y.map.n, y.map.h, y.map.w, y.map.c = 2, 5, 7, 21
    setattr(y.map, part, {"n": 3, "h": 6, "w": 8, "c": 22, "pixel": 20}[part])
    before = y.values.tobytes()
    assert step(kernels, *(buffer.map for buffer in read), y.map, 1) != OK
    assert y.values.tobytes() == before
