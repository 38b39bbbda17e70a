"""Max-pools of 2x2 windows in training by our own kernels, with a ReLU behind them where there is one.

For the way back they keep a byte for each output; PyTorch keeps eight, and clears the gradient before it fills it.
"""

import copy
import ctypes
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from verydeep.engine import library
from verydeep.training import our_kernels
from verydeep.training.our_kernels import check

TYPES = {torch.float32: library.FLOAT32, torch.bfloat16: library.BFLOAT16}
FEWEST_CHANNELS = 16  # with fewer, a vector is half empty, and PyTorch is quicker


def suits(pool: nn.MaxPool2d) -> bool:
    """Whether our kernels compute a pool in training, and may be quicker than PyTorch's."""
    return (
        our_kernels.are_quicker()
        and _both(pool.kernel_size) == _both(pool.stride) == (2, 2)
        and _both(pool.padding) == (0, 0)
        and _both(pool.dilation) == (1, 1)
        and not (pool.ceil_mode or pool.return_indices)
    )


class FastMaxPool2d(nn.MaxPool2d):
    """A max-pool, by our kernels where its windows are 2x2, side by side.

    Attributes:
        rectified: ReLU follows: the numbers of ReLU, then the pool, from a quarter of the comparisons.
    """

    rectified = False

    def forward(self, input: Tensor) -> Tensor:
        """(n, c, h, w) to (n, c, h', w'), channels last in memory where our kernels compute it."""
        if self._is_ours(input):
            return _MaxPool2x2.apply(input, self.rectified)  # type: ignore[no-any-return]
        pooled: Tensor = super().forward(input)  # type: ignore[assignment]
        return functional.relu(pooled) if self.rectified else pooled

    def _is_ours(self, input: Tensor) -> bool:
        return (
            our_kernels.take(input)
            and input.ndim == 4
            and suits(self)
            and input.dtype in TYPES
            and input.shape[1] >= FEWEST_CHANNELS
            and min(input.shape[2:]) >= 2
        )


def rectified(pool: nn.MaxPool2d) -> FastMaxPool2d:
    """A copy of a pool, with ReLU; the pool itself may have another place, without."""
    made = copy.copy(pool)
    made.__class__ = FastMaxPool2d
    assert isinstance(made, FastMaxPool2d)
    made.rectified = True
    return made


class _MaxPool2x2(torch.autograd.Function):
    """The largest number of each window, and the larger of it and 0 if it is rectified."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, rectified: bool) -> Tensor:  # type: ignore[override]
        x = x.contiguous(memory_format=torch.channels_last)
        n, c, h, w = x.shape
        y = torch.empty((n, c, h // 2, w // 2), dtype=x.dtype, memory_format=torch.channels_last)
        indices = torch.empty(y.shape, dtype=torch.uint8, memory_format=torch.channels_last)
        check(
            library.load().vd_max_pool2x2(
                x.data_ptr(), _sizes(x), y.data_ptr(), indices.data_ptr(), TYPES[x.dtype], rectified, _threads()
            )
        )
        ctx.save_for_backward(indices)
        ctx.shape = x.shape
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        (indices,) = ctx.saved_tensors
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        by_x = torch.empty(ctx.shape, dtype=gradient.dtype, memory_format=torch.channels_last)
        check(
            library.load().vd_max_pool2x2_gradient(
                gradient.data_ptr(), indices.data_ptr(), _sizes(by_x), by_x.data_ptr(), TYPES[by_x.dtype], _threads()
            )
        )
        return by_x, None


def _sizes(map: Tensor) -> Any:
    n, c, h, w = map.shape
    return (ctypes.c_int64 * 4)(n, h, w, c)


def _threads() -> int:
    return torch.get_num_threads()


def _both(size: int | tuple[int, ...]) -> tuple[int, ...]:
    return (size, size) if isinstance(size, int) else tuple(size)
