"""3x3 convolutions in training through our own kernels, by Winograd's tiles: forward, and both gradients."""

import ctypes
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from verydeep.engine import library
from verydeep.engine.calls import convolution
from verydeep.engine.library import ConvArguments
from verydeep.engine.tensors import fill, notes_of
from verydeep.spec import Conv
from verydeep.training import our_kernels
from verydeep.training.our_kernels import check

METHODS = (4, 2)  # of tiles: F(4x4, 3x3) has a quarter of the products, F(2x2) fits small maps
FEWEST_FILTERS = 16 * 32  # with fewer, the transforms cost what they save; and so with fewer channels on either side
FEWEST_CHANNELS = 16
FEWEST_PIXELS = 2**10  # of a batch's map: less work is not worth a kernel's call from Python
SAVED = 2  # times fewer products: a map that fills its tiles badly gains less than the transforms cost


def suits(layer: nn.Conv2d) -> bool:
    """Whether our kernels compute a convolution in float32, and may be quicker than PyTorch's."""
    return (
        our_kernels.are_quicker()
        and type(layer) is nn.Conv2d
        and (layer.kernel_size, layer.stride, layer.dilation, layer.groups) == ((3, 3), (1, 1), (1, 1), 1)
        and isinstance(layer.padding, tuple)
        and max(layer.padding) <= 2
        and layer.padding_mode == "zeros"
        and min(layer.in_channels, layer.out_channels) >= FEWEST_CHANNELS
        and layer.in_channels * layer.out_channels >= FEWEST_FILTERS
    )


class TiledConv2d(nn.Conv2d):
    """A convolution whose passes are ours where they are quicker; the parameters are those of `nn.Conv2d`."""

    def forward(self, input: Tensor) -> Tensor:
        """(n, c, h, w) to (n, c', h', w'), channels last in memory where our kernels compute it."""
        if not self._is_ours(input):
            return super().forward(input)
        return _Tiled.apply(input, self.weight, self.bias, *self.padding)  # type: ignore[no-any-return]

    def _is_ours(self, input: Tensor) -> bool:
        """Float32 on the CPU, and enough of it; oneDNN's products of bf16 are twice as quick, so autocast stays its."""
        parts = (input, self.weight) if self.bias is None else (input, self.weight, self.bias)
        if not all(our_kernels.take(part) and part.dtype == torch.float32 for part in parts):
            return False
        if torch.is_autocast_enabled("cpu") or input.ndim != 4:
            return False
        n, channels, h, w = input.shape
        top, left = self.padding
        down, across = h + 2 * int(top) - 2, w + 2 * int(left) - 2
        return (
            channels == self.in_channels
            and n * h * w >= FEWEST_PIXELS
            and min(down, across) >= 1
            and 9 * down * across >= SAVED * _products(_method(down, across), down, across)
        )


class _Tiled(torch.autograd.Function):
    """x * w + b with zeros around x."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, top: int, left: int
    ) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        ctx.save_for_backward(x, weight)
        ctx.padding = (top, left)
        return _convolve(x, weight, bias, padding=(top, left))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        x, weight = ctx.saved_tensors
        top, left = ctx.padding
        of_x, of_weight, of_bias, *_ = ctx.needs_input_grad
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        by_weight = _by_weight(x, gradient, weight, padding=(top, left)) if of_weight else None
        by_bias = gradient.sum((0, 2, 3)) if of_bias else None
        by_x = None
        if of_x:
            turned = weight.transpose(0, 1).flip(2, 3)
            by_x = _convolve(gradient, turned, None, padding=(2 - top, 2 - left))
        return by_x, by_weight, by_bias, None, None


def _method(down: int, across: int) -> int:
    """Of the tiles with the fewest products for a map of so many outputs."""
    return min(METHODS, key=lambda method: _products(method, down, across))


def _products(method: int, down: int, across: int) -> int:
    """Of a filter with a map; 9 for each output without tiles."""
    return (method + 2) ** 2 * -(-down // method) * -(-across // method)


def _convolve(x: Tensor, weight: Tensor, bias: Tensor | None, *, padding: tuple[int, int]) -> Tensor:
    """Of x (n, c, h, w) with channels last by weight (k, c, 3, 3) in any order in memory."""
    kernels = library.load()
    bias = None if bias is None else bias.contiguous()
    n, c, h, w = x.shape
    channels = len(weight)
    y = torch.empty((n, channels, h + 2 * padding[0] - 2, w + 2 * padding[1] - 2), memory_format=torch.channels_last)
    arguments = _arguments(x, y, padding=padding)
    reference = ctypes.byref(arguments)
    packed = torch.empty(kernels.vd_conv_packed_bytes(c, channels, reference), dtype=torch.uint8)
    check(kernels.vd_conv_pack_strided(weight.data_ptr(), _strides(weight), c, channels, reference, packed.data_ptr()))
    notes = notes_of(kernels.vd_conv_workspace_bytes(reference))
    arguments.weights, arguments.bias = packed.data_ptr(), None if bias is None else bias.data_ptr()
    arguments.workspace, arguments.workspace_bytes = notes.data_ptr(), notes.numel()
    check(kernels.vd_conv(reference))
    return y


def _by_weight(x: Tensor, gradient: Tensor, weight: Tensor, *, padding: tuple[int, int]) -> Tensor:
    """The gradient by the weights, (k, c, 3, 3), which lies in memory as they do.

    Args:
        x: (n, c, h, w), with channels last.
        gradient: By the outputs, (n, k, h', w'), with channels last.
        weight: (k, c, 3, 3).
        padding: Zeros above and below, left and right.
    """
    kernels = library.load()
    by_weight = torch.empty_like(weight)
    arguments = _arguments(x, gradient, padding=padding)
    reference = ctypes.byref(arguments)
    notes = notes_of(kernels.vd_conv_gradient_workspace_bytes(reference))
    arguments.workspace, arguments.workspace_bytes = notes.data_ptr(), notes.numel()
    check(kernels.vd_conv_gradient(reference, by_weight.data_ptr(), _strides(by_weight)))
    return by_weight


def _arguments(x: Tensor, y: Tensor, *, padding: tuple[int, int]) -> ConvArguments:
    top, left = padding
    layer = Conv("conv", y.shape[1], (3, 3), padding=((top, top), (left, left)))
    arguments = convolution(layer, threads=torch.get_num_threads())
    fill(arguments.x, x)
    fill(arguments.y, y)
    arguments.method, arguments.type = _method(*y.shape[2:]), library.FLOAT32
    return arguments


def _strides(weight: Tensor) -> Any:
    return (ctypes.c_int64 * 4)(*weight.stride())
