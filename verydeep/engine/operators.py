"""Our kernels as PyTorch's own operators, so that torch.compile and torch.export see ordinary calls.

`verydeep::conv2d`, `linear`, `pool2d` and `lrn` take maps (n, c, h, w) in any order in memory and give them with
channels last. They have no gradient. Packed weights are bytes for one instruction set, which their `form` names: run
by another, the call is refused and not wrong. So is a tensor of another type, memory or shape, beyond whose end a
kernel, which sees addresses only, would read and write: already where torch.compile and torch.export trace.
"""

import ctypes
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from verydeep.engine import library
from verydeep.engine.calls import convolution
from verydeep.engine.tensors import fill, map_of, notes_of
from verydeep.errors import ConfigError, VerydeepError
from verydeep.spec import LRN, Conv, Pool, Signal

TYPES = {name: type for type, name in library.TYPE_NAMES.items()}
ROWS = {torch.float32: library.FLOAT32, torch.bfloat16: library.BFLOAT16, torch.int8: library.INT8}
POOLS = {"none": library.NO_POOL, "floor": library.POOL_FLOOR, "ceil": library.POOL_CEIL}
MAPS = ("n", "channels", "height", "width")


def form_name(type: int) -> str:
    """How the weights are packed that the instruction set which runs now reads: ``avx512 float32``."""
    return f"{library.active()} {library.TYPE_NAMES[type]}"


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
        method: 0 is the direct one, m is Winograd's of m x m outputs.
        form: As `form_name` has it.
        relu: Whether max(x, 0) follows.
        pool: "none", or the rounding of its output's size: "floor", "ceil".

    Raises:
        ConfigError: code ENGINE-IMAGES, a tensor does not fit; ISA-UNAVAILABLE, packed for another instruction set.
    """
    kernels, threads = library.load(), torch.get_num_threads()
    arguments = convolution(_conv(channels, kernel, stride, padding, dilation, groups), threads=threads)
    y = _conv2d_fake(
        x, packed, bias, added, channels, kernel, stride, padding, dilation, groups, method, form, relu, pool
    )
    x, packed, bias = _channels_last(x), packed.contiguous(), _contiguous(bias)
    fill(arguments.x, x)
    fill(arguments.y, y)
    if added is not None:
        added = _channels_last(added)
        arguments.add, arguments.add_pixel = added.data_ptr(), added.shape[1]
    arguments.method, arguments.type, arguments.relu, arguments.pool = method, _type(form), int(relu), POOLS[pool]
    arguments.weights, arguments.bias = packed.data_ptr(), _pointer(bias)
    arguments.workspace_bytes = kernels.vd_conv_workspace_bytes(ctypes.byref(arguments))
    notes = notes_of(max(arguments.workspace_bytes, 1))
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
    layer = _conv(channels, kernel, stride, padding, dilation, groups)
    if pool not in POOLS:
        raise refused(f"verydeep::conv2d takes pool as {', '.join(POOLS)}, not {pool!r}")
    _refuse_misfit("conv2d", "x", x, *MAPS)
    _refuse_misfit("conv2d", "packed", packed, _packed_bytes(layer, x.shape[1], method, form), dtypes=(torch.uint8,))
    _refuse_misfit("conv2d", "bias", bias, channels)
    _, height, width = layer.infer(Signal(tuple(x.shape[1:]))).shape
    _refuse_misfit("conv2d", "added", added, x.shape[0], channels, height, width)
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

    Raises:
        ConfigError: code ENGINE-IMAGES; a tensor does not fit.
    """
    y = _linear_fake(x, rows, bias, outputs, relu)
    x, rows, bias = x.contiguous(), rows.contiguous(), _contiguous(bias)
    n, inputs = x.shape
    done = library.load().vd_linear(
        *(x.data_ptr(), rows.data_ptr(), _pointer(bias), y.data_ptr(), n, inputs, outputs),
        *(ROWS[rows.dtype], int(relu), torch.get_num_threads()),
    )
    _check(done, "linear")
    return y


@linear.register_fake
def _linear_fake(x: Tensor, rows: Tensor, bias: Tensor | None, outputs: int, relu: bool) -> Tensor:
    if rows.dtype == torch.int8:
        _refuse_misfit("linear", "x", x, "n", "inputs")
        size = library.load().vd_int8_bytes(int(x.shape[1]), outputs)
        _refuse_misfit("linear", "rows", rows, size, dtypes=(torch.int8,))
    else:
        _refuse_misfit("linear", "rows", rows, outputs, "inputs", dtypes=(torch.float32, torch.bfloat16))
        _refuse_misfit("linear", "x", x, "n", rows.shape[1])
    _refuse_misfit("linear", "bias", bias, outputs)
    return x.new_empty(x.shape[0], outputs, dtype=torch.float32)


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

    Raises:
        ConfigError: code ENGINE-IMAGES; x does not fit.
    """
    y = _pool2d_fake(x, pooling, kernel, stride, padding, rounding)
    x = _channels_last(x)
    pairs = (kernel or x.shape[2:], stride, (padding[0], padding[2]))
    windows = ((ctypes.c_int64 * 2)(*pair) for pair in pairs)
    kind = library.MAXIMUM if pooling == "max" else library.MEAN
    _check(library.load().vd_pool(map_of(x), map_of(y), kind, *windows, torch.get_num_threads()), "pool2d")
    return y


@pool2d.register_fake
def _pool2d_fake(
    x: Tensor, pooling: str, kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int], rounding: str
) -> Tensor:
    _refuse_misfit("pool2d", "x", x, *MAPS)
    window: Any = tuple(kernel) or None
    layer = Pool("pool", pooling, window, _two(stride), _sides(padding), rounding)  # type: ignore[arg-type]
    return _empty(x, *layer.infer(Signal(tuple(x.shape[1:]))).shape)


@torch.library.custom_op("verydeep::lrn", mutates_args=(), device_types="cpu")
def lrn(x: Tensor, size: int, alpha: float, beta: float, k: float) -> Tensor:
    """Local response normalisation, as `verydeep.spec.LRN` has it: alpha is not divided by `size`.

    Raises:
        ConfigError: code ENGINE-IMAGES; x does not fit.
    """
    y = _lrn_fake(x, size, alpha, beta, k)
    x = _channels_last(x)
    _check(library.load().vd_lrn(map_of(x), map_of(y), size, alpha, beta, k, torch.get_num_threads()), "lrn")
    return y


@lrn.register_fake
def _lrn_fake(x: Tensor, size: int, alpha: float, beta: float, k: float) -> Tensor:
    _refuse_misfit("lrn", "x", x, *MAPS)
    layer = LRN("lrn", size, alpha, beta, k)
    return _empty(x, *layer.infer(Signal(tuple(x.shape[1:]))).shape)


def refused(why: str) -> ConfigError:
    """The error of an argument that no kernel may see."""
    return ConfigError(why, code="ENGINE-IMAGES", hint="Give float32 images on the CPU to the module of Engine.module.")


def _refuse_misfit(
    operator: str,
    name: str,
    tensor: Tensor | None,
    *shape: int | str,
    dtypes: tuple[torch.dtype, ...] = (torch.float32,),
) -> None:
    """Refuse a tensor that is not on the CPU, of one of the types and of this shape; a word is any size.

    PyTorch itself sends no tensor here that is not dense.
    """
    if tensor is None:
        return
    sized = tensor.ndim == len(shape) and all(
        isinstance(wanted, str) or size == wanted for size, wanted in zip(tensor.shape, shape, strict=True)
    )
    if sized and tensor.dtype in dtypes and tensor.device.type == "cpu":
        return
    wanted = f"{' or '.join(map(_name, dtypes))} ({', '.join(map(str, shape))}) on cpu"
    found = f"{_name(tensor.dtype)} ({', '.join(map(str, tensor.shape))}) on {tensor.device}"
    raise refused(f"verydeep::{operator} takes {name} as {wanted}, not {found}")


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _packed_bytes(layer: Conv, channels: int, method: int, form: str) -> int:
    """The bytes of the weights of a convolution that reads so many channels.

    Raises:
        ConfigError: code ENGINE-IMAGES, no kernel has this method and type; ISA-UNAVAILABLE, packed for another
            instruction set than the one that runs.
    """
    isa = form.partition(" ")[0]
    if isa != library.active():
        raise ConfigError(
            f"these weights are packed for {isa}, and {library.active()} runs here",
            code="ISA-UNAVAILABLE",
            hint="Make the module anew on this machine, with Engine.module.",
        )
    arguments = convolution(layer, threads=1)
    arguments.method, arguments.type, arguments.largest = method, _type(form), 1.0  # any: the size is the same
    size = library.load().vd_conv_packed_bytes(int(channels), layer.channels, ctypes.byref(arguments))
    if size < 1:
        raise refused(f"verydeep::conv2d has no kernel for {channels} channels by method {method}, packed as {form}")
    return size


def _type(form: str) -> int:
    """The number of a form's type, which no kernel has if the form is unknown."""
    return TYPES.get(form.partition(" ")[2], -1)


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
    return x.new_empty(x.shape[0], height, width, channels, dtype=torch.float32).permute(0, 3, 1, 2)


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def _contiguous(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.contiguous()


def _pointer(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()


def _check(answer: int, operator: str) -> None:
    if answer != library.OK:
        raise VerydeepError(
            f"verydeep::{operator} refuses these arguments with {answer}",
            code="INTERNAL",
            hint="Call it with the arguments that Engine.module gives it.",
        )
