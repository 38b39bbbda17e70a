"""A network as an ordinary PyTorch model: nested `nn.Sequential` whose children have the spec's names."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any, Literal, assert_never

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from verydeep.backends import refusals
from verydeep.errors import ConfigError
from verydeep.spec import (
    LRN,
    BatchNorm,
    Conv,
    Dropout,
    Flatten,
    Layer,
    Linear,
    Network,
    PadChannels,
    Padding,
    Pair,
    Parallel,
    Pool,
    ReLU,
    Signal,
    Tanh,
    walk,
)
from verydeep.weights import fit, nested

Layout = Literal["channels_first", "channels_last"]


def build(
    network: Network, arrays: Mapping[str, npt.NDArray[Any]], *, layout: Layout = "channels_first"
) -> nn.Sequential:
    """`network` with the weights `arrays` (canonical names), in train mode on the CPU; ``model.network`` describes it.

    Args:
        network: What to build.
        arrays: One array for every name in ``spec.weights(network)``, as `weights.initial` gives them.
        layout: How maps lie in memory; "channels_last" is faster on most CPUs and GPUs, the numbers are the same.

    Raises:
        WeightsError: names or shapes of `arrays` are not those of the network.
        ConfigError: an unknown layout, or a layer or block with a name that PyTorch needs for itself.
    """
    if layout not in ("channels_first", "channels_last"):
        raise ConfigError(
            f"layout {layout!r} is unknown", code="LAYOUT-UNKNOWN", hint="Choose channels_first or channels_last."
        )
    model = without_numbers(network).to_empty(device="cpu")
    model.network = network  # type: ignore[assignment]
    set_weights(model, arrays)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.num_batches_tracked = torch.tensor(0)  # the one array of PyTorch's that the spec does not have
    if layout == "channels_last":
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model


def without_numbers(network: Network) -> nn.Sequential:
    """The modules of `network`; their arrays have shapes only, so that those set later are the first numbers there.

    Raises:
        ConfigError: a layer or block has a name that PyTorch needs for itself.
    """
    # Children are attributes of their module, beside `forward`, `training` and all that PyTorch has there.
    refusals.refuse_taken(network, taken={*dir(nn.Sequential()), "network"}, by="PyTorch")
    signals = {step.layer.name: step.before for step in walk(network)}
    with torch.device("meta"):
        return nn.Sequential(OrderedDict((block.name, _sequence(block.layers, signals)) for block in network.blocks))


def set_weights(model: nn.Module, arrays: Mapping[str, npt.NDArray[Any] | Tensor]) -> None:
    """Copy `arrays` into the model, all or nothing.

    Raises:
        ConfigError: the model is not what `build` gave.
        WeightsError: a name is missing or unknown, or a shape differs; the model is unchanged.
    """
    network = network_of(model)
    fit.refuse_misfit(fit.shapes(network), arrays, of=network.name)
    with torch.no_grad():
        for name, tensor in tensors(model).items():
            array = arrays[name]
            # `np.array` copies: PyTorch warns of arrays that are read-only, as those of a mapped file are.
            tensor.copy_(array if isinstance(array, Tensor) else torch.from_numpy(np.array(array)))


def get_weights(model: nn.Module) -> dict[str, npt.NDArray[Any]]:
    """Copies of all weights by canonical name, OIHW, as NumPy arrays on the CPU.

    Raises:
        ConfigError: the model is not what `build` gave.
    """
    return {name: tensor.detach().cpu().contiguous().numpy().copy() for name, tensor in tensors(model).items()}


def network_of(model: nn.Module) -> Network:
    """The description of a model that `build` gave; ConfigError for any other module."""
    return refusals.description(model, getattr(model, "network", None))


def tensors(model: nn.Module) -> dict[str, Tensor]:
    """The model's own tensors by canonical name, not copies: parameters and the running statistics of batch norm."""
    network = network_of(model)
    state = model.state_dict(keep_vars=True)
    return {name: state[key] for name, key in nested.names(network).items()}


def run(model: nn.Module, images: Tensor, *, taps: Iterable[str] = ()) -> dict[str, Tensor]:
    """The outputs of the layers named in `taps`, computed no further than the deepest of them.

    Args:
        model: What `build` gave; its mode (train or eval) is kept.
        images: (n, channels, height, width).
        taps: Names of layers, such as ("relu3_3", "fc7").

    Raises:
        ConfigError: no layer has this name, or the model is not what `build` gave.
    """
    network = network_of(model)
    places = nested.places(network)
    wanted = refusals.known(network, taps)
    kept: dict[str, Tensor] = {}

    def keep(name: str) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Tensor) -> None:
            kept[name] = output
            if len(kept) == len(wanted):
                raise _AllSeen

        return hook

    handles = [model.get_submodule(places[name]).register_forward_hook(keep(name)) for name in wanted]
    try:
        model(images)
    except _AllSeen:
        pass
    finally:
        for handle in handles:
            handle.remove()
    return {name: kept[name] for name in wanted}


class _AllSeen(Exception):  # noqa: N818 - a signal, not an error
    """Every tap has been read: what follows need not be computed."""


class Paths(nn.Module):
    """Children that read the same map; their outputs are put side by side ("concat") or added ("add")."""

    def __init__(self, paths: Iterable[nn.Module], join: Literal["concat", "add"]) -> None:
        super().__init__()
        self.join = join
        for number, path in enumerate(paths, start=1):
            self.add_module(f"path{number}", path)

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) to (n, c', h', w')."""
        outputs = [path(x) for path in self.children()]
        if self.join == "concat":
            return torch.cat(outputs, dim=1)
        total = outputs[0]
        for output in outputs[1:]:
            total = total + output
        return total

    def extra_repr(self) -> str:
        """What the children's outputs become."""
        return f"join={self.join!r}"


class WholeMapPool(nn.Module):
    """The mean or the maximum of each whole map, (n, c, h, w) to (n, c, 1, 1).

    Not `AdaptiveAvgPool2d`: its backward pass has no deterministic form on CUDA.
    """

    def __init__(self, pooling: Literal["max", "average"]) -> None:
        super().__init__()
        self.pooling = pooling

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) to (n, c, 1, 1)."""
        return x.mean((2, 3), keepdim=True) if self.pooling == "average" else x.amax((2, 3), keepdim=True)


class UnevenConv2d(nn.Conv2d):
    """A convolution whose padding differs between the sides; the weights are those of `nn.Conv2d`."""

    def __init__(self, *args: Any, sides: Padding, **options: Any) -> None:
        super().__init__(*args, **options)
        self.sides = sides

    def forward(self, input: Tensor) -> Tensor:
        """(n, c, h, w) to (n, c', h', w')."""
        return super().forward(functional.pad(input, _flat(self.sides)))


class SparsePointwise(nn.Conv2d):
    """A 1x1 convolution that reads some positions only; the weights are those of `nn.Conv2d`.

    With channels last these positions are taken first: the backward pass of PyTorch 2.15's own, of few channels and an
    odd batch, writes beyond its memory on the CPU (Conv2d(8, 16, 1, 2), 17 images: the process dies).
    """

    def forward(self, input: Tensor) -> Tensor:
        """(n, c, h, w) to (n, c', h', w')."""
        if input.is_contiguous():
            return super().forward(input)
        down, right = self.stride
        return functional.conv2d(input[:, :, ::down, ::right], self.weight, self.bias, groups=self.groups)


class UnevenPool2d(nn.Module):
    """A pool whose padding differs between the sides; the padding never counts."""

    def __init__(self, pool: Pool) -> None:
        super().__init__()
        self.pool = pool

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) to (n, c, h', w')."""
        kernel, stride, ceil = self.pool.kernel or (1, 1), self.pool.stride, self.pool.rounding == "ceil"
        sides = _flat(self.pool.padding)
        # PyTorch takes the padding for a part of the map and may begin a last window in it: those rows are cut off.
        _, rows, columns = self.pool.infer(Signal(tuple(x.shape[1:]))).shape
        if self.pool.pooling == "max":
            padded = functional.pad(x, sides, value=-torch.inf)
            return functional.max_pool2d(padded, kernel, stride, ceil_mode=ceil)[:, :, :rows, :columns]
        inside = functional.pad(torch.ones_like(x[:1, :1]), sides)
        share = functional.avg_pool2d(inside, kernel, stride, ceil_mode=ceil)[:, :, :rows, :columns]
        mean = functional.avg_pool2d(functional.pad(x, sides), kernel, stride, ceil_mode=ceil)[:, :, :rows, :columns]
        return mean / share


class ZeroChannels(nn.Module):
    """Channels of zeros before and after the map's own."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.before, self.after = before, after

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) to (n, before + c + after, h, w)."""
        return functional.pad(x, (0, 0, 0, 0, self.before, self.after))


def _sequence(layers: tuple[Layer, ...], signals: Mapping[str, Signal]) -> nn.Sequential:
    return nn.Sequential(OrderedDict((layer.name, _module(layer, signals)) for layer in layers))


def _module(layer: Layer, signals: Mapping[str, Signal]) -> nn.Module:
    signal = signals[layer.name]
    match layer:
        case Conv():
            return _conv(layer, signal.shape[0])
        case Pool():
            return _pool(layer)
        case Linear():
            return nn.Linear(signal.shape[0], layer.features, bias=layer.bias)
        case BatchNorm():
            kind = nn.BatchNorm2d if len(signal.shape) == 3 else nn.BatchNorm1d
            return kind(signal.shape[0], eps=layer.epsilon, momentum=layer.momentum)
        case ReLU():
            return nn.ReLU()  # never in place: a tap on the layer before must keep what it saw
        case Tanh():
            return nn.Tanh()
        case Dropout():
            return nn.Dropout(layer.rate)
        case LRN():
            # PyTorch divides alpha by the size of the window; the published formula does not.
            return nn.LocalResponseNorm(layer.size, alpha=layer.alpha * layer.size, beta=layer.beta, k=layer.k)
        case Flatten():
            return nn.Flatten()
        case PadChannels():
            return ZeroChannels(layer.before, layer.after)
        case Parallel():
            return Paths((_sequence(path, signals) for path in layer.paths), layer.join)
    assert_never(layer)


def _conv(layer: Conv, channels: int) -> nn.Conv2d:
    (top, bottom), (left, right) = layer.padding
    options: dict[str, Any] = {
        "stride": layer.stride,
        "dilation": layer.dilation,
        "groups": layer.groups,
        "bias": layer.bias,
    }
    if layer.kernel == (1, 1) and layer.stride != (1, 1) and layer.padding == ((0, 0), (0, 0)):
        return SparsePointwise(channels, layer.channels, layer.kernel, **options)
    if top == bottom and left == right:
        return nn.Conv2d(channels, layer.channels, layer.kernel, padding=(top, left), **options)
    return UnevenConv2d(channels, layer.channels, layer.kernel, sides=layer.padding, **options)


def _pool(layer: Pool) -> nn.Module:
    if layer.kernel is None:
        return WholeMapPool(layer.pooling)
    (top, bottom), (left, right) = layer.padding
    if top != bottom or left != right or 2 * top > layer.kernel[0] or 2 * left > layer.kernel[1]:
        return UnevenPool2d(layer)
    padding: Pair = (top, left)
    ceil = layer.rounding == "ceil"
    if layer.pooling == "max":
        return nn.MaxPool2d(layer.kernel, layer.stride, padding, ceil_mode=ceil)
    return nn.AvgPool2d(layer.kernel, layer.stride, padding, ceil_mode=ceil, count_include_pad=False)


def _flat(padding: Padding) -> tuple[int, int, int, int]:
    (top, bottom), (left, right) = padding
    return left, right, top, bottom
