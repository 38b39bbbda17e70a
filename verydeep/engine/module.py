"""An engine as an `nn.Module` of ordinary operators, for torch.compile and torch.export."""

from collections.abc import Sequence
from typing import Any, assert_never, final

import torch
from torch import Tensor, nn

from verydeep.backends.pytorch import ZeroChannels
from verydeep.engine import operators
from verydeep.engine.calls import convolution
from verydeep.engine.forms import Form, Forms
from verydeep.engine.fuse import Fused, fuse, is_product
from verydeep.engine.library import BFLOAT16
from verydeep.engine.place import as_map
from verydeep.engine.plan import Method
from verydeep.engine.pytorch_steps import as_tensor
from verydeep.engine.values import IMAGES, values
from verydeep.errors import ConfigError
from verydeep.spec import (
    LRN,
    BatchNorm,
    Conv,
    Flatten,
    Linear,
    Network,
    PadChannels,
    Parallel,
    Pool,
    ReLU,
    Shape,
    Signal,
    Tanh,
    walk,
)


def as_module(network: Network, forms: Forms, *, method: Method) -> nn.Module:
    """The network, for images of its size, as modules that call `verydeep::conv2d` and the like.

    Raises:
        ConfigError: code ENGINE-UNAVAILABLE; no kernel takes one of its convolutions.
    """
    found = values(network, (walk(network)[-1].layer.name,))
    fused = fuse(found, pools=lambda layer, x, y: method(layer, as_map(x), as_map(y)) > 0)
    shapes = {IMAGES: found.images} | {step.name: step.shape for step in fused}
    numbers = {name: number for number, name in enumerate(shapes)}
    reads = [(*step.reads, *((step.added,) if step.added is not None else ())) for step in fused]
    return Steps(
        [_module(step, shapes[step.reads[0]], forms, method) for step in fused],
        reads=[tuple(numbers[name] for name in names) for names in reads],
        channels=network.input[0],
    )


@final
class Steps(nn.Module):
    """Modules one after another, each of which reads some of the values before it; value 0 is the images.

    A value is dropped behind the last step that reads it: in memory are those that are still needed.
    """

    def __init__(self, steps: Sequence[nn.Module], *, reads: Sequence[tuple[int, ...]], channels: int) -> None:
        super().__init__()
        self.steps, self.reads, self.channels = nn.ModuleList(steps), list(reads), channels
        last = {value: step for step, values in enumerate(self.reads) for value in values}
        self.drops = [tuple(value for value in last if last[value] == step) for step in range(len(self.reads))]

    def forward(self, images: Tensor) -> Tensor:
        """(n, c, h, w) to what the last step gives.

        Raises:
            ConfigError: code ENGINE-IMAGES; the images are not float32 on the CPU, or of another shape.
        """
        if images.ndim != 4 or images.shape[1] != self.channels:
            raise operators.refused(f"images are (n, {self.channels}, height, width), not {tuple(images.shape)}")
        values = {0: images}
        for number, (step, reads, drops) in enumerate(zip(self.steps, self.reads, self.drops, strict=True)):
            values[number + 1] = step(*[values[read] for read in reads])
            for drop in drops:
                del values[drop]
        return values[len(self.steps)]


@final
class Convolution(nn.Module):
    """`verydeep::conv2d` with its packed weights; reads x, and what is added if anything is."""

    def __init__(self, fused: Fused, layer: Conv, form: Form, *, bias: Tensor | None, method: int) -> None:
        super().__init__()
        self.register_buffer("packed", as_tensor(form.array), persistent=False)
        self.register_buffer("bias", bias, persistent=False)
        self.channels, self.groups, self.method, self.relu = layer.channels, layer.groups, method, fused.has_relu
        self.kernel, self.stride, self.dilation = list(layer.kernel), list(layer.stride), list(layer.dilation)
        self.padding = [*layer.padding[0], *layer.padding[1]]
        self.form, self.pool = operators.form_name(form.type), "none" if fused.pool is None else fused.pool.rounding

    def forward(self, x: Tensor, added: Tensor | None = None) -> Tensor:
        """(n, c, h, w) to (n, c', h', w')."""
        return operators.conv2d(
            x,
            self.packed,
            self.bias,
            added,
            self.channels,
            self.kernel,
            self.stride,
            self.padding,
            self.dilation,
            self.groups,
            self.method,
            self.form,
            self.relu,
            self.pool,
        )


@final
class Product(nn.Module):
    """`verydeep::linear` on what it reads, made flat; `shape` is that of what it gives for one image."""

    def __init__(self, fused: Fused, form: Form, *, bias: Tensor | None) -> None:
        super().__init__()
        rows = as_tensor(form.array.view("int16") if form.type == BFLOAT16 else form.array)
        if form.type == BFLOAT16:
            rows = rows.view(torch.bfloat16).view(fused.shape[0], -1)
        self.register_buffer("rows", rows, persistent=False)
        self.register_buffer("bias", bias, persistent=False)
        self.shape, self.relu = fused.shape, fused.has_relu

    def forward(self, x: Tensor) -> Tensor:
        """(n, ...) to (n, *shape)."""
        return operators.linear(x.flatten(1), self.rows, self.bias, self.shape[0], self.relu).reshape(-1, *self.shape)


@final
class Pooling(nn.Module):
    """`verydeep::pool2d`."""

    def __init__(self, layer: Pool) -> None:
        super().__init__()
        self.pooling, self.rounding = layer.pooling, layer.rounding
        self.kernel, self.stride = list(layer.kernel or ()), list(layer.stride)
        self.padding = [*layer.padding[0], *layer.padding[1]]

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) to (n, c, h', w')."""
        return operators.pool2d(x, self.pooling, self.kernel, self.stride, self.padding, self.rounding)


@final
class Normalisation(nn.Module):
    """`verydeep::lrn`."""

    def __init__(self, layer: LRN) -> None:
        super().__init__()
        self.numbers = (layer.size, layer.alpha, layer.beta, layer.k)

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) to the same."""
        return operators.lrn(x, *self.numbers)


@final
class Affine(nn.Module):
    """scale * x + shift for each channel, then ReLU if wanted."""

    scale: Tensor
    shift: Tensor

    def __init__(self, scale: Tensor, shift: Tensor, *, relu: bool) -> None:
        super().__init__()
        self.register_buffer("scale", scale, persistent=False)
        self.register_buffer("shift", shift, persistent=False)
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        """(n, c) or (n, c, h, w) to the same."""
        y = x * self.scale + self.shift
        return torch.relu(y) if self.relu else y


@final
class Sum(nn.Module):
    """All that it reads, added in order, then ReLU if wanted."""

    def __init__(self, *, relu: bool) -> None:
        super().__init__()
        self.relu = relu

    def forward(self, first: Tensor, *others: Tensor) -> Tensor:
        """Equal shapes to one of the same."""
        for other in others:
            first = first + other
        return torch.relu(first) if self.relu else first


@final
class SideBySide(nn.Module):
    """The channels of all that it reads, one after another."""

    def forward(self, *parts: Tensor) -> Tensor:
        """Maps of one size to a wider one."""
        return torch.cat(parts, dim=1)


def _module(fused: Fused, x: Shape, forms: Forms, method: Method) -> nn.Module:
    """What computes one fused step that reads a value of shape `x`."""
    first = fused.layers[0]
    match first:
        case Conv():
            return (
                _product(fused, first, forms) if is_product(first, x) else _convolution(fused, first, x, forms, method)
            )
        case Linear():
            return _product(fused, first, forms)
        case Pool():
            return Pooling(first)
        case BatchNorm():
            shape = (-1, *[1] * (len(x) - 1))
            scale, shift = (as_tensor(array).reshape(shape) for array in forms.affine(first))
            return Affine(scale, shift, relu=fused.has_relu)
        case ReLU():
            return nn.ReLU()
        case Tanh():
            return nn.Tanh()
        case LRN():
            return Normalisation(first)
        case Flatten():
            return nn.Flatten()
        case PadChannels():
            return ZeroChannels(first.before, first.after)
        case Parallel():
            return SideBySide() if first.join == "concat" else Sum(relu=fused.has_relu)
    assert_never(first)


def _convolution(fused: Fused, layer: Conv, x: Shape, forms: Forms, method: Method) -> Convolution:
    chosen = method(layer, as_map(x), as_map(layer.infer(Signal(x)).shape))
    arguments = convolution(layer, threads=torch.get_num_threads())
    arguments.method, arguments.x.c = chosen, x[0]
    form = forms.packed(layer, fused.norm, arguments)
    if form is None:
        raise ConfigError(
            f"no kernel takes {layer.name}", code="ENGINE-UNAVAILABLE", hint="Export or compile the model of vd.build."
        )
    return Convolution(fused, layer, form, bias=_bias(fused, layer, forms), method=chosen)


def _product(fused: Fused, layer: Conv | Linear, forms: Forms) -> Product:
    form = forms.rows(layer, fused.norm, threads=torch.get_num_threads())
    return Product(fused, form, bias=_bias(fused, layer, forms))


def _bias(fused: Fused, layer: Conv | Linear, forms: Forms) -> Tensor | None:
    bias: Any = forms.bias(layer, fused.norm)
    return None if bias is None else as_tensor(bias)
