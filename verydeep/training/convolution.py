"""3x3 convolutions in training through our own kernels: forward, and the gradient by the input, by Winograd's tiles.

The gradient by the weights stays PyTorch's: a sum over pixels, in which tiles save little.
"""

import ctypes
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from verydeep.engine import library
from verydeep.engine.calls import convolution
from verydeep.engine.library import ConvArguments
from verydeep.engine.tensors import fill, notes_of
from verydeep.errors import VerydeepError
from verydeep.spec import Conv

METHOD = 4  # F(4x4, 3x3): a quarter of the multiplications, rounding errors close to those of the direct form
FEWEST_FILTERS = 64 * 64  # with fewer, the transforms cost what they save
FEWEST_PIXELS = 2**12  # of a batch's map: less work is not worth a kernel's call from Python
WIDE = ("avx512vnni", "avx512")  # where this was measured


@cache
def share_threads() -> None:
    """Let our kernels compute on PyTorch's threads, which keep a core busy for a while after each operation."""
    maps = Path("/proc/self/maps")
    lines = maps.read_text(errors="surrogateescape").splitlines() if maps.exists() else []
    paths = {line.split(maxsplit=5)[5] for line in lines if "libgomp" in line}
    if len(paths) != 1:
        return
    with suppress(OSError, AttributeError):  # it was replaced since it was loaded, or is not what it is called
        library.load().vd_share_with(ctypes.cast(ctypes.CDLL(paths.pop()).GOMP_parallel, ctypes.c_void_p))


def suits(layer: nn.Conv2d) -> bool:
    """Whether our kernels compute a convolution, and are quicker than PyTorch's in float32."""
    return (
        library.why_not() is None
        and library.active() in WIDE
        and type(layer) is nn.Conv2d
        and (layer.kernel_size, layer.stride, layer.dilation, layer.groups) == ((3, 3), (1, 1), (1, 1), 1)
        and isinstance(layer.padding, tuple)
        and max(layer.padding) <= 2
        and layer.padding_mode == "zeros"
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
        return (
            input.device.type == "cpu"
            and input.dtype == self.weight.dtype == torch.float32
            and input.ndim == 4
            and input.shape[0] * input.shape[2] * input.shape[3] >= FEWEST_PIXELS
            and not torch.is_autocast_enabled("cpu")
            and not torch.compiler.is_compiling()
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
        turned = weight.transpose(0, 1).flip(2, 3)
        _, by_weight, by_bias = torch.ops.aten.convolution_backward(
            gradient,
            x,
            weight,
            [len(weight)],
            (1, 1),
            (top, left),
            (1, 1),
            False,
            (0, 0),
            1,
            (False, of_weight, of_bias),
        )
        by_x = _convolve(gradient, turned, None, padding=(2 - top, 2 - left)) if of_x else None
        return by_x, by_weight, by_bias, None, None


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
    _check(kernels.vd_conv_pack_strided(weight.data_ptr(), _strides(weight), c, channels, reference, packed.data_ptr()))
    notes = notes_of(kernels.vd_conv_workspace_bytes(reference))
    arguments.weights, arguments.bias = packed.data_ptr(), None if bias is None else bias.data_ptr()
    arguments.workspace, arguments.workspace_bytes = notes.data_ptr(), notes.numel()
    _check(kernels.vd_conv(reference))
    return y


def _arguments(x: Tensor, y: Tensor, *, padding: tuple[int, int]) -> ConvArguments:
    top, left = padding
    layer = Conv("conv", y.shape[1], (3, 3), padding=((top, top), (left, left)))
    arguments = convolution(layer, threads=torch.get_num_threads())
    fill(arguments.x, x)
    fill(arguments.y, y)
    arguments.method, arguments.type = METHOD, library.FLOAT32
    return arguments


def _strides(weight: Tensor) -> Any:
    return (ctypes.c_int64 * 4)(*weight.stride())


def _check(done: int) -> None:
    if done != library.OK:
        raise VerydeepError(
            f"a kernel refuses with {done} a convolution that it should take",
            code="INTERNAL",
            hint="This is a fault of verydeep: report it with the network and the size of the images.",
        )
