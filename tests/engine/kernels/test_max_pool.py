"""Max-pools of 2x2 windows in training: the numbers are PyTorch's, forward and back, whatever is in the map."""

import ctypes

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from tests.engine.kernels.buffers import Buffer, address
from verydeep.engine.library import BFLOAT16, FLOAT32, INT8, OK, UNSUPPORTED

BAD_SHAPE = 3
TYPES = {torch.float32: FLOAT32, torch.bfloat16: BFLOAT16}
BITS = {torch.float32: np.uint32, torch.bfloat16: np.uint16}
SPECIAL = (0.0, -0.0, 1.0, 1.0, -1.0, np.inf, -np.inf, np.nan)


class Bits:
    """Numbers of a type in guarded memory."""

    def __init__(self, shape: tuple[int, ...], bits: type) -> None:
        count = int(np.prod(shape)) * np.dtype(bits).itemsize
        self._buffer = Buffer((1, 1, 1, -(-count // 4)))
        whole = self._buffer.values.reshape(-1).view(np.uint8)
        whole[count:] = 0xAD
        self._behind, self.values = whole[count:], whole[:count].view(bits).reshape(shape)
        self.pointer = address(whole)

    def check(self) -> None:
        """Nothing was written beside them."""
        assert (self._behind == 0xAD).all()
        self._buffer.check()


def bits_of(map: Tensor) -> np.ndarray:
    """(n, c, h, w) as bits (n, h, w, c)."""
    whole = map.detach().permute(0, 2, 3, 1).contiguous()
    return whole.view(torch.int16 if map.dtype == torch.bfloat16 else torch.int32).numpy().view(BITS[map.dtype])


def pooled(kernels, x: Tensor, gradient: Tensor, *, relu: bool, threads: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Bits of the pool's outputs and of the gradient by its inputs."""
    n, c, h, w = x.shape
    kind, shape = BITS[x.dtype], (ctypes.c_int64 * 4)(n, h, w, c)
    read, back = Bits((n, h, w, c), kind), Bits((n, h, w, c), kind)
    y, indices = Bits((n, h // 2, w // 2, c), kind), Bits((n, h // 2, w // 2, c), np.uint8)
    read.values[...] = bits_of(x)
    assert kernels.vd_max_pool2x2(read.pointer, shape, y.pointer, indices.pointer, TYPES[x.dtype], relu, threads) == OK
    result = y.values.copy()
    y.values[...] = bits_of(gradient)
    assert (
        kernels.vd_max_pool2x2_gradient(y.pointer, indices.pointer, shape, back.pointer, TYPES[x.dtype], threads) == OK
    )
    for memory in (read, back, y, indices):
        memory.check()
    return result, back.values.copy()


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("relu", [False, True])
@settings(deadline=None, max_examples=40)
@given(
    shape=st.tuples(st.integers(0, 3), st.integers(1, 70), st.integers(2, 19), st.integers(2, 19)),
    specials=st.booleans(),
    threads=st.integers(1, 4),
    seed=st.integers(0, 999),
)
def test_any_map_is_pooled_as_by_pytorch(kernels, dtype, relu, shape, specials, threads, seed):
    draw = np.random.default_rng(seed)
    values = draw.choice(SPECIAL, shape) if specials else draw.standard_normal(shape)
    x = torch.from_numpy(values.astype(np.float32)).to(dtype).requires_grad_()
    expected = functional.max_pool2d(x, 2)
    expected = functional.relu(expected) if relu else expected
    gradient = torch.from_numpy(draw.standard_normal(expected.shape).astype(np.float32)).to(dtype)
    expected.backward(gradient)
    y, back = pooled(kernels, x, gradient, relu=relu, threads=threads)
    found = torch.from_numpy(y.view(np.int16 if dtype == torch.bfloat16 else np.int32)).view(dtype).permute(0, 3, 1, 2)
    torch.testing.assert_close(found, expected.detach(), rtol=0, atol=0, equal_nan=True)
    assert np.array_equal(back, bits_of(x.grad))


@pytest.mark.parametrize(
    ("shape", "type", "threads", "answer"),
    [
        ((1, 1, 4, 3), FLOAT32, 1, BAD_SHAPE),
        ((1, 4, 1, 3), FLOAT32, 1, BAD_SHAPE),
        ((1, 4, 4, 0), FLOAT32, 1, BAD_SHAPE),
        ((-1, 4, 4, 3), FLOAT32, 1, BAD_SHAPE),
        ((1, 4, 4, 3), FLOAT32, 0, BAD_SHAPE),
        ((1, 4, 4, 3), INT8, 1, UNSUPPORTED),
    ],
)
def test_what_has_no_windows_or_another_type_is_refused(kernels, shape, type, threads, answer):
    sizes = (ctypes.c_int64 * 4)(*shape)
    assert kernels.vd_max_pool2x2(None, sizes, None, None, type, 0, threads) == answer
    assert kernels.vd_max_pool2x2_gradient(None, None, sizes, None, type, threads) == answer
