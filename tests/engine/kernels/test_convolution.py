"""Convolutions of drawn shapes, in every method, against float64."""

import ctypes
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.kernels.buffers import Buffer, Place, holding
from tests.engine.kernels.convolutions import (
    FIVES,
    FORMS,
    LARGEST,
    WINOGRAD,
    Convolution,
    Numbers,
    arguments,
    bound,
    convolved,
    expected,
    numbers,
    packed,
    reached,
    stored,
)
from tests.engine.kernels.shapes import direct_convolutions, winograd_convolutions
from verydeep.engine.library import (
    BFLOAT16,
    FLOAT32,
    INT8,
    INT16,
    NO_POOL,
    OK,
    POOL_CEIL,
    POOL_FLOOR,
    UNSUPPORTED,
    instruction_sets,
)

WORKSPACE_TOO_SMALL, BAD_SHAPE = 2, 3

WAYS = [
    *({"method": method, "type": type} for method, type in FORMS),
    *({"method": method, "type": type, "kernel": (5, 5), "padding": (2, 2, 2, 2)} for method, type in FIVES),
]
each_form = pytest.mark.parametrize("form", WAYS, ids=lambda form: "-".join(str(value) for value in form.values()))
each_tile = pytest.mark.parametrize("form", [form for form in WAYS if form["method"] in WINOGRAD], ids=str)
drawn = settings(deadline=None, max_examples=20)


def agree(kernels, case, values=None, *, threads=2):
    values = values or numbers(case)
    y, size = expected(case, values)
    off = np.abs(convolved(kernels, case, values, threads=threads) - y).max(initial=0.0)
    assert off <= bound(case) * size, f"off by {off / size:.2g} of the largest output"


@drawn
@given(case=direct_convolutions())
def test_any_convolution_is_within_its_bound(kernels, case):
    agree(kernels, case)
    if case.type != FLOAT32:
        values = numbers(case)  # which are rounded, and nothing else is
        y, size = expected(case, stored(case, values))
        off = np.abs(convolved(kernels, case, values) - y).max(initial=0.0)
        assert off <= bound(replace(case, type=FLOAT32)) * size


def test_what_levels_cannot_tell_apart_is_cut_off(kernels):
    case = Convolution(1, 9, 7, 12, 5, type=INT8, largest=2.0, relu=True)
    values = replace(numbers(case), x=np.random.default_rng(1).normal(1, 2, (1, 9, 7, 12)).astype(np.float32))
    y, size = expected(case, replace(values, x=np.clip(values.x, 0, 2)))
    assert np.abs(convolved(kernels, case, values) - y).max() <= FORMS[0, INT8] * size
    assert values.x.min() < -1 and values.x.max() > 4


@drawn
@given(case=direct_convolutions(), data=st.data(), odd=st.sampled_from([np.inf, -np.inf, np.nan]))
def test_what_is_not_finite_spoils_the_windows_that_see_it_and_no_others_in_8_bits(kernels, case, data, odd):
    case = replace(case, n=max(case.n, 1), type=INT8, groups=1, relu=False)
    values = numbers(case)
    good = convolved(kernels, case, values)
    values.x[tuple(data.draw(st.integers(0, side - 1)) for side in values.x.shape)] = odd
    found, window = convolved(kernels, case, values), reached(case, values)
    assert np.isnan(found[window]).all()
    assert found[~window].tobytes() == good[~window].tobytes()


def test_images_in_8_bits_that_are_not_framed_together_are_the_same_as_alone(kernels):
    case = Convolution(3, 260, 257, 130, 3, type=INT8, seed=6)  # a frame has more than half of the room for frames
    values = numbers(case)
    values.x[0, 7, 7, 7] = np.nan
    together = convolved(kernels, case, values)
    for i in range(3):
        alone = convolved(kernels, replace(case, n=1), replace(values, x=values.x[i : i + 1]))
        assert alone.tobytes() == together[i].tobytes(), f"image {i}"
    assert [bool(np.isnan(image).any()) for image in together] == [True, False, False]


@pytest.mark.parametrize(("large", "weight"), [(1e25, 1e20), (1e-20, 1e-20)])
def test_units_of_8_bits_that_are_no_ordinary_numbers_are_refused(kernels, large, weight):
    case = Convolution(type=INT8, largest=large)
    weights = (numbers(case).weights * weight).astype(np.float32)
    record, space = ctypes.byref(arguments(case)), np.zeros(10_000, np.float32)
    assert kernels.vd_conv_pack(weights.ctypes.data, case.c, case.k, record, space.ctypes.data) == UNSUPPORTED


@pytest.mark.parametrize("size", [1e-20, 1e20])
def test_levels_of_small_and_large_numbers_are_as_exact(kernels, size):
    case = Convolution(2, 13, 11, 19, 21, type=INT8, bias=False, largest=LARGEST * size)
    values = numbers(case)
    agree(kernels, case, replace(values, x=(values.x * size).astype(np.float32)))


def test_sums_of_products_of_8_bits_are_the_same_to_the_bit_in_every_instruction_set(kernels):
    case = Convolution(2, 19, 17, 37, 45, type=INT8, padding=(1, 0, 2, 1), stride=(2, 1), seed=5)
    values = numbers(case)
    before, found = kernels.vd_isa(), set()
    try:
        for name in instruction_sets():
            assert kernels.vd_use_isa(name.encode()) == OK
            found.add(convolved(kernels, replace(case, bias=False), replace(values, bias=None)).tobytes())
    finally:
        kernels.vd_use_isa(before)
    assert len(found) == 1


@pytest.mark.parametrize(
    "change",
    [
        *({"largest": largest} for largest in (0.0, -1.0, np.inf, np.nan, 1e-39)),
        {"c": 6, "k": 6, "groups": 2},
        {"c": 1025, "kernel": (8, 8)},
    ],
)
def test_what_products_of_8_bits_cannot_say_is_refused(kernels, change):
    case = replace(Convolution(1, 9, 9, 8, 8, type=INT8), **change)
    record, space = ctypes.byref(arguments(case)), np.zeros(1_000_000, np.float32)
    assert kernels.vd_conv_packed_bytes(case.c, case.k, record) <= 0
    assert kernels.vd_conv_pack(space.ctypes.data, case.c, case.k, record, space.ctypes.data) == UNSUPPORTED
    if "largest" not in change:  # which the packed weights hold
        assert kernels.vd_conv(record) in (UNSUPPORTED, BAD_SHAPE)


@pytest.mark.parametrize("odd", [np.inf, -np.inf, np.nan])
def test_a_filter_of_8_bits_that_is_no_number_gives_none_and_the_others_are_right(kernels, odd):
    case = Convolution(1, 9, 9, 8, 40, type=INT8)
    values, good = numbers(case), numbers(case)
    values.weights[7, 3, 1, 1] = odd
    y, others = convolved(kernels, case, values), np.arange(40) != 7
    assert np.isnan(y[..., 7]).all()
    assert y[..., others].tobytes() == convolved(kernels, case, good)[..., others].tobytes()


@each_tile
@drawn
@given(data=st.data())
def test_any_convolution_by_winograd_is_within_its_bound(kernels, form, data):
    agree(kernels, data.draw(winograd_convolutions(form["method"], form["type"], form.get("kernel", (3, 3)))))


@each_form
@pytest.mark.parametrize(
    ("n", "h", "w", "c", "k"),
    [(1, 70, 70, 130, 130), (1, 14, 14, 512, 512), (1, 7, 7, 512, 130), (1, 112, 113, 3, 64), (9, 6, 5, 65, 33)],
)
def test_the_shapes_of_real_networks_are_within_their_bound(kernels, n, h, w, c, k, form):
    agree(kernels, Convolution(n, h, w, c, k, **form, relu=True, seed=1))


@pytest.mark.parametrize("form", [{"method": 4, "type": FLOAT32}, {"method": 4, "type": INT16}])
def test_weights_too_large_to_stay_near_pass_by_once_and_the_result_is_right(kernels, form):
    case = Convolution(1, 34, 34, 4096, 33, **form, relu=True, seed=2)
    agree(kernels, case)
    values = numbers(case)
    alone, three = (convolved(kernels, case, values, threads=threads) for threads in (1, 3))
    assert alone.tobytes() == three.tobytes()
    pair = Numbers(np.repeat(values.x, 2, axis=0), values.weights, values.bias, values.add)
    for image in convolved(kernels, replace(case, n=2), pair):
        assert image.tobytes() == alone[0].tobytes()


def test_a_row_too_long_to_stay_near_is_right_too(kernels):
    agree(kernels, Convolution(1, 2, 2, 70_000, 1, method=2, seed=3))


@each_form
def test_terms_of_one_sign_and_terms_that_cancel_are_within_the_bound(kernels, form):
    case = Convolution(1, 20, 20, 96, 40, **form, bias=False)
    values = numbers(case)
    agree(kernels, case, Numbers(np.abs(values.x), np.abs(values.weights), None, None))
    agree(kernels, case, Numbers(np.abs(values.x) + 1, values.weights, None, None))


@pytest.mark.parametrize("form", [form for form in WAYS if form["type"] != INT8], ids=str)
@pytest.mark.parametrize("size", [1e-42, 1e-38, 1e-30, 1e30])
def test_tiny_denormal_and_huge_inputs_are_within_the_bound(kernels, form, size):
    case = Convolution(2, 13, 11, 19, 21, **form, bias=False)
    values = numbers(case)
    values = Numbers((values.x * size).astype(np.float32), values.weights, None, None)
    y, largest = expected(case, values)
    steps = 19 * 9 * 100 * 2.0**-149  # denormals are a fixed distance apart, of which each product may lose one
    if form["type"] == INT16:
        steps = 2.0**-123  # a tile of denormals has no unit
    assert np.abs(convolved(kernels, case, values) - y).max() <= bound(case) * largest + steps


@each_form
@drawn
@given(data=st.data(), relu=st.booleans(), pool=st.sampled_from([NO_POOL, POOL_FLOOR, POOL_CEIL]))
def test_infinities_and_nans_reach_the_outputs_whose_window_holds_them_and_no_others(kernels, form, relu, pool, data):
    pool = pool if form["method"] in WINOGRAD else NO_POOL
    size = st.integers(2 if pool == POOL_FLOOR else 1, 20)  # so that something is left
    case = Convolution(data.draw(st.integers(1, 2)), data.draw(size), data.draw(size), data.draw(size), data.draw(size))
    case = replace(case, **form, relu=relu, pool=pool, seed=data.draw(st.integers(0, 999)))
    values = numbers(case)
    for value in data.draw(st.lists(st.sampled_from([np.inf, -np.inf, np.nan]), min_size=1, max_size=3)):
        values.x[tuple(data.draw(st.integers(0, side - 1)) for side in values.x.shape)] = value
    with np.errstate(invalid="ignore"):
        y, _ = expected(case, values)
    found, window = convolved(kernels, case, values), reached(case, values)
    ordinary = replace(values, x=np.where(np.isfinite(values.x), values.x, 0))
    assert np.abs(found[~window] - y[~window]).max(initial=0.0) <= bound(case) * expected(case, ordinary)[1]
    if (form["method"], form["type"]) == (0, FLOAT32):  # a rounded weight may change an infinity with its sign
        assert (np.isnan(found) == np.isnan(y)).all()
        assert (found[np.isinf(y)] == y[np.isinf(y)]).all()
        assert np.isfinite(found[np.isfinite(y)]).all()
    elif not relu and pool == NO_POOL:
        assert not np.isfinite(found[window]).any()


@each_form
def test_a_batch_of_no_images_writes_nothing(kernels, form):
    case = Convolution(0, 9, 9, 5, 7, **form)
    assert convolved(kernels, case, numbers(case)).shape == (0, 9, 9, 7)


@each_form
@pytest.mark.parametrize(("n", "h", "w", "c", "k"), [(1, 40, 37, 24, 70), (3, 12, 14, 130, 67), (5, 3, 4, 300, 260)])
def test_the_result_is_the_same_to_the_bit_whatever_the_number_of_threads(kernels, n, h, w, c, k, form):
    case = Convolution(n, h, w, c, k, **form, relu=True, add=True)
    values = numbers(case)
    alone = convolved(kernels, case, values, threads=1)
    for threads in (2, 3, 8):
        assert convolved(kernels, case, values, threads=threads).tobytes() == alone.tobytes(), f"{threads} threads"


@each_form
@pytest.mark.parametrize(("h", "w", "c", "k"), [(40, 37, 24, 70), (12, 14, 130, 67), (3, 4, 300, 260), (7, 7, 512, 96)])
def test_an_image_gives_the_same_to_the_bit_in_every_place_of_every_batch(kernels, h, w, c, k, form):
    case = Convolution(5, h, w, c, k, **form, add=True)
    values = numbers(case)
    together = convolved(kernels, case, values, threads=2)
    for i in range(case.n):
        one = Numbers(values.x[i : i + 1], values.weights, values.bias, values.add[i : i + 1])
        assert convolved(kernels, replace(case, n=1), one, threads=2).tobytes() == together[i].tobytes(), f"image {i}"


@each_form
@pytest.mark.parametrize("shift", [1, 2, 3])
def test_the_result_is_the_same_to_the_bit_wherever_the_maps_lie(kernels, form, shift):
    case = Convolution(2, 15, 9, 37, 43, **form, add=True)
    values = numbers(case)
    other = replace(case, at=(Place(3, 5, shift), Place(7, 1, shift), Place(0, 9, shift)))
    assert convolved(kernels, other, values).tobytes() == convolved(kernels, case, values).tobytes()


@pytest.mark.parametrize("pool", [POOL_FLOOR, POOL_CEIL])
@each_tile
def test_pooling_in_the_convolution_is_pooling_after_it(kernels, form, pool):
    for h, w in ((2, 2), (2, 3), (7, 9), (12, 6), (13, 24)):
        case = Convolution(2, h, w, 9, 37, **form, relu=True)
        before = convolved(kernels, case, numbers(case))
        pooled = convolved(kernels, replace(case, pool=pool), numbers(case))
        down, across = replace(case, pool=pool).pooled()
        grown = np.pad(before, ((0, 0), (0, 1), (0, 1), (0, 0)), constant_values=-np.inf)
        corners = [grown[:, i:, j:][:, ::2, ::2][:, :down, :across] for i in (0, 1) for j in (0, 1)]
        assert (pooled == np.max(corners, 0)).all()


def called(kernels, case, *, change):
    """What a call returns whose record was changed at last; the output must not be."""
    values = numbers(case)
    weights, x = packed(kernels, case, values.weights), holding(values.x)
    y = Buffer((case.n, *case.pooled(), case.k))
    made = arguments(case)
    made.x, made.y, made.weights = x.map, y.map, weights.pointer()
    made.workspace_bytes = kernels.vd_conv_workspace_bytes(ctypes.byref(made))
    workspace = Buffer((1, 1, 1, made.workspace_bytes // 4 + 1))
    made.workspace = workspace.pointer()
    change(made)
    before = y.values.tobytes()
    answer = kernels.vd_conv(ctypes.byref(made))
    assert answer == OK or y.values.tobytes() == before
    return answer


@each_form
def test_a_workspace_that_is_too_small_is_refused(kernels, form):
    def smaller(made):
        made.workspace_bytes -= 1

    case = Convolution(1, 30, 30, 20, 70, **form)
    if kernels.vd_conv_workspace_bytes(ctypes.byref(arguments(case))) > 0:
        assert called(kernels, case, change=smaller) == WORKSPACE_TOO_SMALL


CHANGES = {
    "a row too many": lambda made: setattr(made.y, "h", made.y.h + 1),
    "a column too few": lambda made: setattr(made.y, "w", made.y.w - 1),
    "an image too many": lambda made: setattr(made.y, "n", made.y.n + 1),
    "an image less than none": lambda made: (setattr(made.y, "n", -1), setattr(made.x, "n", -1)),
    "pixels that overlap": lambda made: setattr(made.x, "pixel", made.x.c - 1),
    "written pixels that overlap": lambda made: setattr(made.y, "pixel", made.y.c - 1),
    "no channels": lambda made: setattr(made.x, "c", 0),
    "a stride of nothing": lambda made: made.stride.__setitem__(0, 0),
    "a window of nothing": lambda made: made.kernel.__setitem__(1, 0),
    "a dilation of nothing": lambda made: made.dilation.__setitem__(1, 0),
    "padding less than none": lambda made: made.padding.__setitem__(2, -1),
    "no groups": lambda made: setattr(made, "groups", 0),
    "groups that do not divide": lambda made: setattr(made, "groups", 3),
    "an unknown method": lambda made: setattr(made, "method", 5),
    "an unknown type": lambda made: setattr(made, "type", 9),
    "an unknown pool": lambda made: setattr(made, "pool", 7),
    "an image smaller than the window": lambda made: (setattr(made.x, "h", 0), setattr(made.y, "h", 0)),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
@each_form
def test_a_record_that_makes_no_sense_is_refused_and_nothing_is_written(kernels, form, change):
    answer = called(kernels, Convolution(1, 9, 10, 4, 8, **form), change=change)
    assert answer in (UNSUPPORTED, BAD_SHAPE)


@pytest.mark.parametrize("method", WINOGRAD)
@pytest.mark.parametrize(
    "change",
    [
        {"kernel": (7, 7)},
        {"kernel": (3, 1)},
        {"kernel": (5, 3)},
        {"stride": (2, 1)},
        {"dilation": (1, 2)},
        {"groups": 2},
    ],
)
def test_winograd_takes_nothing_but_3x3_and_5x5_of_stride_1_in_one_group(kernels, method, change):
    case = replace(Convolution(1, 20, 20, 8, 8, method=method), **change)
    space = np.zeros(100_000, np.float32)
    record = ctypes.byref(arguments(case))
    assert kernels.vd_conv_packed_bytes(case.c, case.k, record) == -1
    assert kernels.vd_conv_pack(space.ctypes.data, case.c, case.k, record, space.ctypes.data) == UNSUPPORTED
    assert kernels.vd_conv(record) == UNSUPPORTED


@pytest.mark.parametrize(
    ("method", "type", "kernel"),
    [
        *(
            (method, type, 3)
            for method, type in [(0, INT16), (6, BFLOAT16), (6, INT16), (4, INT8), (4, 4), (5, FLOAT32)]
        ),
        *((method, type, 5) for method, type in [(6, FLOAT32), (4, BFLOAT16), (4, INT16)]),
    ],
)
def test_a_form_that_there_is_not_is_refused(kernels, method, type, kernel):
    record = ctypes.byref(arguments(Convolution(method=method, type=type, kernel=(kernel, kernel))))
    space = np.zeros(10_000, np.float32)
    assert kernels.vd_conv_packed_bytes(4, 4, record) <= 0
    assert kernels.vd_conv_pack(space.ctypes.data, 4, 4, record, space.ctypes.data) == UNSUPPORTED
    assert kernels.vd_conv(record) == UNSUPPORTED


@drawn
@given(case=st.one_of(direct_convolutions(), winograd_convolutions(0, FLOAT32), winograd_convolutions(0, BFLOAT16)))
def test_the_fastest_method_is_one_that_takes_the_shape(kernels, case):
    method = kernels.vd_conv_method(ctypes.byref(arguments(case)))
    forms = FIVES if case.kernel == (5, 5) and method in WINOGRAD else FORMS
    types = (INT16, FLOAT32) if case.type == INT8 and method in WINOGRAD else (case.type,)
    type = next(type for type in types if (method, type) in forms)
    agree(kernels, replace(case, method=method, type=type, pool=case.pool if method in WINOGRAD else NO_POOL))


@each_form
def test_weights_are_packed_alike_in_whatever_order_they_lie(kernels, form):
    case = Convolution(c=19, k=37, **form)
    weights = numbers(case).weights
    wanted = packed(kernels, case, weights).values.tobytes()
    record = ctypes.byref(arguments(case))
    orders = {"channels last": (0, 2, 3, 1), "inputs first": (1, 0, 2, 3), "windows first": (2, 3, 0, 1)}
    for name, order in orders.items():
        lying = np.ascontiguousarray(weights.transpose(order)).transpose(np.argsort(order))
        assert strided(kernels, case, record, lying) == wanted, name
    assert strided(kernels, case, record, np.ascontiguousarray(weights[:, :, ::-1, ::-1])[:, :, ::-1, ::-1]) == wanted


def strided(kernels, case, record, weights):
    """What is packed of an array's own memory."""
    space = Buffer((1, 1, 1, -(-kernels.vd_conv_packed_bytes(case.c, case.k, record) // 4)))
    strides = (ctypes.c_int64 * 4)(*(stride // 4 for stride in weights.strides))
    first = weights.__array_interface__["data"][0]
    assert kernels.vd_conv_pack_strided(first, strides, case.c, case.k, record, space.pointer()) == OK
    space.check()
    return space.values.tobytes()


@pytest.mark.parametrize("method", WINOGRAD)
def test_an_addition_before_a_pool_is_refused(kernels, method):
    map_to_add = holding(np.zeros((1, 8, 8, 4), np.float32))

    def with_addition(made):
        made.add, made.add_pixel = map_to_add.pointer(), 4

    assert called(kernels, Convolution(method=method, pool=POOL_FLOOR), change=with_addition) == UNSUPPORTED
