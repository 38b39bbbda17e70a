"""Matrix products with float32 and bfloat16 weights, and the rounding to bfloat16, against float64."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.kernels.buffers import Buffer, floats, row
from tests.engine.kernels.references import bfloat16, widened
from verydeep.engine.library import BFLOAT16, FLOAT32, OK

ERROR = 2e-6  # of the largest output; the weights are those that are stored
INT8 = 3
drawn = settings(deadline=None, max_examples=25)


def rounded(kernels, values, *, shift=0, threads=2):
    """The bits that vd_to_bfloat16 writes for float32 values."""
    space = floats(values.size // 2 + 1 + shift)
    to = space.view(np.uint16)[2 * shift :]
    around = np.delete(to.copy(), np.s_[: values.size])
    given = row(values, shift=shift)
    kernels.vd_to_bfloat16(given.pointer(), to.ctypes.data, values.size, threads)
    assert (np.delete(to, np.s_[: values.size]) == around).all(), "written behind the values"
    return to[: values.size].copy()


def product(kernels, x, weights, bias=None, *, type=FLOAT32, relu=False, shift=0, threads=2):
    n, inputs, outputs = len(x), x.shape[1], len(weights)
    stored = row(weights, shift=shift) if type == FLOAT32 else row(as_floats(bfloat16(weights)), shift=shift)
    read = [row(x, shift=shift), stored, *([] if bias is None else [row(bias, shift=shift)])]
    before = [buffer.values.tobytes() for buffer in read]
    pointers = [buffer.pointer() for buffer in read] + [None] * (bias is None)
    y = Buffer((1, 1, n, outputs))
    assert kernels.vd_linear(*pointers, y.pointer(), n, inputs, outputs, type, relu, threads) == OK
    assert [buffer.values.tobytes() for buffer in read] == before
    y.check()
    return y.values[0, 0].copy()


def as_floats(bits):
    """Two of them in the place of one float."""
    return np.append(bits.ravel(), np.zeros(bits.size % 2, np.uint16)).view(np.float32)


def by_definition(x, weights, bias, *, type=FLOAT32, relu=False):
    """The outputs and their size."""
    weights = weights if type == FLOAT32 else widened(bfloat16(weights))
    x, weights = x.astype(np.float64), weights.astype(np.float64)
    bias = np.zeros(len(weights)) if bias is None else bias
    y = x @ weights.T + bias
    size = max(np.abs(y).max(initial=0), np.sqrt(x**2 @ weights.T**2 + bias**2).max(initial=0))
    return (np.maximum(y, 0) if relu else y), size


@drawn
@given(
    n=st.integers(0, 40),
    inputs=st.one_of(st.integers(1, 70), st.integers(1, 3000)),
    outputs=st.integers(1, 200),
    type=st.sampled_from([FLOAT32, BFLOAT16]),
    relu=st.booleans(),
    biased=st.booleans(),
    shift=st.integers(0, 3),
    seed=st.integers(0, 999),
)
def test_any_product_is_within_its_bound(kernels, n, inputs, outputs, type, relu, biased, shift, seed):
    draw = np.random.default_rng(seed)
    x, weights = draw.standard_normal((n, inputs), np.float32), draw.standard_normal((outputs, inputs), np.float32)
    bias = draw.standard_normal(outputs, np.float32) if biased else None
    y, size = by_definition(x, weights, bias, type=type, relu=relu)
    found = product(kernels, x, weights, bias, type=type, relu=relu, shift=shift)
    assert np.abs(found - y).max(initial=0) <= ERROR * size


@pytest.mark.parametrize("type", [FLOAT32, BFLOAT16])
@pytest.mark.parametrize("n", [1, 8])
def test_a_long_product_of_terms_of_one_sign_is_within_its_bound(kernels, n, type):
    draw = np.random.default_rng(0)
    x, weights = draw.random((n, 25088), np.float32), draw.random((33, 25088), np.float32)
    y, size = by_definition(x, weights, None, type=type)
    assert np.abs(product(kernels, x, weights, type=type) - y).max() <= ERROR * size


@pytest.mark.parametrize("type", [FLOAT32, BFLOAT16])
def test_threads_and_the_rest_of_the_batch_change_no_bit(kernels, type):
    draw = np.random.default_rng(1)
    x, weights = draw.standard_normal((19, 777), np.float32), draw.standard_normal((131, 777), np.float32)
    alone = product(kernels, x, weights, type=type, threads=1)
    for threads in (2, 3, 8):
        assert product(kernels, x, weights, type=type, threads=threads).tobytes() == alone.tobytes()
    for i in range(19):
        assert product(kernels, x[i : i + 1], weights, type=type).tobytes() == alone[i].tobytes(), f"row {i}"
    for some in (2, 4, 8, 16):
        assert product(kernels, x[:some], weights, type=type).tobytes() == alone[:some].tobytes(), f"{some} rows"


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("type", [FLOAT32, BFLOAT16])
def test_infinities_and_nans_stay_in_their_row(kernels, type, relu):
    draw = np.random.default_rng(2)
    x, weights = draw.standard_normal((5, 90), np.float32), draw.standard_normal((37, 90), np.float32)
    x[1, 3], x[2, 89], x[3, 0] = np.inf, np.nan, -np.inf
    y, _ = by_definition(x, weights, None, type=type, relu=relu)
    assert np.allclose(product(kernels, x, weights, type=type, relu=relu), y, rtol=1e-4, atol=1e-4, equal_nan=True)


@pytest.mark.parametrize(("n", "inputs", "outputs", "type"), [(-1, 3, 3, 0), (1, 0, 3, 0), (1, 3, 0, 0), (1, 3, 3, 7)])
def test_a_product_that_makes_no_sense_is_refused_and_nothing_is_written(kernels, n, inputs, outputs, type):
    x, weights, y = row(np.zeros(9)), row(np.zeros(9)), Buffer((1, 1, 3, 3))
    before = y.values.tobytes()
    assert kernels.vd_linear(x.pointer(), weights.pointer(), None, y.pointer(), n, inputs, outputs, type, 0, 1) != OK
    assert y.values.tobytes() == before


@drawn
@given(
    values=st.lists(st.floats(width=32), min_size=0, max_size=200),
    shift=st.integers(0, 3),
    threads=st.sampled_from([1, 2, 3]),
)
def test_rounding_to_bfloat16_is_to_the_nearest_and_of_two_to_the_even(kernels, values, shift, threads):
    values = np.array(values, np.float32)
    found, wanted = rounded(kernels, values, shift=shift, threads=threads), bfloat16(values)
    numbers = ~np.isnan(values)
    assert (found[numbers] == wanted[numbers]).all()
    assert np.isnan(widened(found[~numbers])).all()


def test_every_bfloat16_and_the_ties_between_them_round_as_they_should(kernels):
    bits = np.arange(1 << 16, dtype=np.uint32)[:, None] << 16 | np.array([0, 1, 0x7FFF, 0x8000, 0x8001], np.uint32)
    values = bits.ravel().view(np.float32)
    found = rounded(kernels, values)
    numbers = ~np.isnan(values)
    assert (found[numbers] == bfloat16(values)[numbers]).all()
    assert np.isnan(widened(found[~numbers])).all()


def rows_of_int8(kernels, weights, *, threads=2):
    """The memory that vd_to_int8 writes, and what it says there: integers and the unit of each row."""
    outputs, inputs = weights.shape
    size = kernels.vd_int8_bytes(inputs, outputs)
    space = Buffer((1, 1, 1, -(-size // 4)))
    given = row(weights, shift=1)
    kernels.vd_to_int8(given.pointer(), space.pointer(), inputs, outputs, threads)
    space.check()
    units = space.values.ravel()[-outputs:]
    return space, space.values.ravel().view(np.int8)[: weights.size].reshape(weights.shape), units


@drawn
@given(
    n=st.integers(0, 20),
    inputs=st.one_of(st.integers(1, 70), st.integers(1, 3000)),
    outputs=st.integers(1, 100),
    relu=st.booleans(),
    seed=st.integers(0, 999),
)
def test_any_product_of_int8_rows_is_that_of_the_numbers_they_stand_for(kernels, n, inputs, outputs, relu, seed):
    draw = np.random.default_rng(seed)
    x, bias = draw.standard_normal((n, inputs), np.float32), draw.standard_normal(outputs, np.float32)
    weights = draw.standard_normal((outputs, inputs), np.float32) * draw.lognormal(0, 3, (outputs, 1)).astype(
        np.float32
    )
    space, integers, units = rows_of_int8(kernels, weights)
    meant = integers * units[:, None].astype(np.float64)
    assert (np.abs(meant - weights) <= 0.5001 * units[:, None]).all()
    assert (np.abs(weights).max(1) <= 127.001 * units).all()
    y = Buffer((1, 1, n, outputs))
    given_x, given_bias = row(x, shift=2), row(bias, shift=3)
    pointers = (given_x.pointer(), space.pointer(), given_bias.pointer(), y.pointer())
    assert kernels.vd_linear(*pointers, n, inputs, outputs, INT8, relu, 2) == OK
    y.check()
    wanted = x.astype(np.float64) @ meant.T + bias
    size = np.sqrt(x.astype(np.float64) ** 2 @ meant.T**2 + bias**2).max(0, initial=0)  # of each output: rows differ
    off = np.abs(y.values[0, 0] - (np.maximum(wanted, 0) if relu else wanted))
    assert (off <= ERROR * np.maximum(size, np.abs(wanted).max(0, initial=0))).all()


def test_a_row_of_zeros_and_a_row_that_is_not_finite_keep_their_meaning_as_int8(kernels):
    weights = np.ones((3, 5), np.float32)
    weights[0], weights[1, 2] = 0, np.inf
    _, integers, units = rows_of_int8(kernels, weights)
    assert (integers[0] * units[0] == 0).all()
    assert np.isnan(integers[1] * units[1]).all()
    assert (integers[2] * units[2] == 1).all()
