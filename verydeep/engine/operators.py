"""Our kernels as PyTorch's own operators, so that torch.compile and torch.export see ordinary calls.

`verydeep::conv2d`, `linear`, `pool2d` and `lrn` take maps (n, c, h, w) in any order in memory and give them with
channels last. They have no gradient. Packed weights are bytes for one instruction set, which their `form` names: run
by another, the call is refused and not wrong.
"""

import ctypes
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from verydeep.engine import library
from verydeep.engine.calls import convolution
from verydeep.engine.library import Map
from verydeep.errors import ConfigError, VerydeepError
from verydeep.spec import Conv, Pool, Signal

TYPES = {"float32": library.FLOAT32, "bf16": library.BFLOAT16, "int16": library.INT16}
ROWS = {torch.float32: library.FLOAT32, torch.bfloat16: library.BFLOAT16, torch.int8: library.INT8}
POOLS = {"none": library.NO_POOL, "floor": library.POOL_FLOOR, "ceil": library.POOL_CEIL}


def form_name(type: int) -> str:
    """How the weights are packed that the instruction set which runs now reads: ``avx512 float32``."""
    return f"{library.active()} {next(name for name, number in TYPES.items() if number == type)}"


@torch.library.custom_op("verydeep::conv2d", mutates_args=(), device_types="cpu")
def conv2d(
    x: Tensor,
    packed: Tensor,
    bias: Tensor | None,
    added: Tensor | None,
    channels: int,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    method: int,
    form: str,
    relu: bool,
    pool: str,
) -> Tensor:
    """A convolution, then `added`, ReLU and the maximum of 2x2 windows, each if wanted.

    Args:
        x: (n, c, h, w), float32.
        packed: Weights as bytes, packed for `method` and `form`.
        bias: (channels,).
        added: A map of the convolution's output; not with a pool.
        channels: Of the output.
        kernel: Vertical, horizontal; so are `stride` and `dilation`.
        stride: Pixels.
        padding: Zeros: top, bottom, left, right.
        dilation: Pixels.
        groups: Of channels.
        method: 0 is the direct one, m is Winograd's F(m x m, 3 x 3).
        form: As `form_name` has it.
        relu: Whether max(x, 0) follows.
        pool: "none", or the rounding of its output's size: "floor", "ceil".
    """
    isa, type = form.split()
    if isa != library.active():
        raise ConfigError(
            f"these weights are packed for {isa}, and {library.active()} runs here",
            code="ISA-UNAVAILABLE",
            hint="Make the module anew on this machine, with Engine.module.",
        )
    kernels, threads = library.load(), torch.get_num_threads()
    arguments = convolution(_conv(channels, kernel, stride, padding, dilation, groups), threads=threads)
    x = _channels_last(x)
    y = _conv2d_fake(
        x, packed, bias, added, channels, kernel, stride, padding, dilation, groups, method, form, relu, pool
    )
    _fill(arguments.x, x)
    _fill(arguments.y, y)
    if added is not None:
        added = _channels_last(added)
        arguments.add, arguments.add_pixel = added.data_ptr(), added.shape[1]
    arguments.method, arguments.type, arguments.relu, arguments.pool = method, TYPES[type], int(relu), POOLS[pool]
    arguments.weights, arguments.bias = packed.data_ptr(), _pointer(bias)
    arguments.workspace_bytes = kernels.vd_conv_workspace_bytes(ctypes.byref(arguments))
    notes = torch.empty(max(arguments.workspace_bytes, 1), dtype=torch.uint8)  # PyTorch begins on a cache line
    arguments.workspace = notes.data_ptr()
    _check(kernels.vd_conv(arguments), "conv2d")
    return y


@conv2d.register_fake
def _conv2d_fake(
    x: Tensor,
    packed: Tensor,
    bias: Tensor | None,
    added: Tensor | None,
    channels: int,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    method: int,
    form: str,
    relu: bool,
    pool: str,
) -> Tensor:
    _, height, width = (
        _conv(channels, kernel, stride, padding, dilation, groups).infer(Signal(tuple(x.shape[1:]))).shape
    )
    if pool != "none":
        up = 1 if pool == "ceil" else 0
        height, width = (height + up) // 2, (width + up) // 2
    return _empty(x, channels, height, width)


@torch.library.custom_op("verydeep::linear", mutates_args=(), device_types="cpu")
def linear(x: Tensor, rows: Tensor, bias: Tensor | None, outputs: int, relu: bool) -> Tensor:
    """A fully connected layer, then ReLU if wanted.

    Args:
        x: (n, inputs), float32.
        rows: (outputs, inputs), float32 or bfloat16; or int8, as `vd_to_int8` writes it, in one piece.
        bias: (outputs,).
        outputs: Numbers for each image.
        relu: Whether max(x, 0) follows.
    """
    x, rows = x.contiguous(), rows.contiguous()
    y = _linear_fake(x, rows, bias, outputs, relu)
    n, inputs = x.shape
    done = library.load().vd_linear(
        *(x.data_ptr(), rows.data_ptr(), _pointer(bias), y.data_ptr(), n, inputs, outputs),
        *(ROWS[rows.dtype], int(relu), torch.get_num_threads()),
    )
    _check(done, "linear")
    return y


@linear.register_fake
def _linear_fake(x: Tensor, rows: Tensor, bias: Tensor | None, outputs: int, relu: bool) -> Tensor:
    return x.new_empty(x.shape[0], outputs)


@torch.library.custom_op("verydeep::pool2d", mutates_args=(), device_types="cpu")
def pool2d(
    x: Tensor, pooling: str, kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int], rounding: str
) -> Tensor:
    """The maximum or the mean of each window; padding never counts.

    Args:
        x: (n, c, h, w), float32.
        pooling: "max" or "average".
        kernel: Vertical, horizontal; nothing is the whole map.
        stride: Vertical, horizontal.
        padding: Top, bottom, left, right.
        rounding: Of the number of windows: "floor" or "ceil".
    """
    x = _channels_last(x)
    y = _pool2d_fake(x, pooling, kernel, stride, padding, rounding)
    pairs = (kernel or x.shape[2:], stride, (padding[0], padding[2]))
    windows = ((ctypes.c_int64 * 2)(*pair) for pair in pairs)
    kind = library.MAXIMUM if pooling == "max" else library.MEAN
    _check(library.load().vd_pool(_map(x), _map(y), kind, *windows, torch.get_num_threads()), "pool2d")
    return y


@pool2d.register_fake
def _pool2d_fake(
    x: Tensor, pooling: str, kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int], rounding: str
) -> Tensor:
    window: Any = tuple(kernel) or None
    layer = Pool("pool", pooling, window, _two(stride), _sides(padding), rounding)  # type: ignore[arg-type]
    return _empty(x, *layer.infer(Signal(tuple(x.shape[1:]))).shape)


@torch.library.custom_op("verydeep::lrn", mutates_args=(), device_types="cpu")
def lrn(x: Tensor, size: int, alpha: float, beta: float, k: float) -> Tensor:
    """Local response normalisation, as `verydeep.spec.LRN` has it: alpha is not divided by `size`."""
    x = _channels_last(x)
    y = _lrn_fake(x, size, alpha, beta, k)
    _check(library.load().vd_lrn(_map(x), _map(y), size, alpha, beta, k, torch.get_num_threads()), "lrn")
    return y


@lrn.register_fake
def _lrn_fake(x: Tensor, size: int, alpha: float, beta: float, k: float) -> Tensor:
    return _empty(x, *x.shape[1:])


def _conv(
    channels: int,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> Conv:
    return Conv("conv", channels, _two(kernel), _two(stride), _sides(padding), _two(dilation), groups)


def _two(values: Sequence[int]) -> tuple[int, int]:
    vertical, horizontal = values
    return vertical, horizontal


def _sides(values: Sequence[int]) -> tuple[tuple[int, int], tuple[int, int]]:
    top, bottom, left, right = values
    return (top, bottom), (left, right)


def _empty(x: Tensor, channels: int, height: int, width: int) -> Tensor:
    """A map for as many images as `x` has, channels last."""
    return x.new_empty(x.shape[0], height, width, channels).permute(0, 3, 1, 2)


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def _map(x: Tensor) -> Map:
    return _fill(Map(), x)


def _fill(map: Map, x: Tensor) -> Map:
    map.data, map.pixel = x.data_ptr(), x.shape[1]
    map.n, map.c, map.h, map.w = x.shape
    return map


def _pointer(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()


def _check(answer: int, operator: str) -> None:
    if answer != library.OK:
        raise VerydeepError(
            f"verydeep::{operator} refuses these arguments with {answer}",
            code="INTERNAL",
            hint="Call it with the arguments that Engine.module gives it.",
        )
