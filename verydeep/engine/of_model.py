"""Engines of PyTorch models, kept as long as the model is what it was: the features of a model, by the fastest way.

A model is an object that anybody may change. So each call looks whether its modules are still those of its
description, and whether the weights that were packed are still the same: PyTorch counts the changes of a tensor, but
not those through `.data`, so each weight's product with fixed random numbers is compared too.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TypeAlias
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn.modules import module as global_hooks

from verydeep.backends import pytorch, refusals
from verydeep.engine.choice import Choice
from verydeep.engine.choose import choose
from verydeep.engine.engine import Engine
from verydeep.engine.values import values
from verydeep.errors import ConfigError
from verydeep.spec import BatchNorm, Linear, Network, walk
from verydeep.weights.fit import shapes

Print: TypeAlias = tuple[object, ...]  # what is compared of a tensor


@dataclass(slots=True)
class _Kept:
    """An engine, where the model's weights lie, and what they were when the engine packed them."""

    engine: Engine
    places: Mapping[str, Print]
    prints: dict[str, Print] = field(default_factory=dict)


_kept: WeakKeyDictionary[nn.Module, _Kept] = WeakKeyDictionary()


def choose_for(model: nn.Module, images: Tensor, *, engine: str = "auto") -> Choice:
    """The engine that computes what `model`, from `verydeep.build`, gives for these images.

    Raises:
        ConfigError: the model is not what `build` gave; code ENGINE-IMAGES, no tensor; or as in `choose`.
    """
    network = pytorch.network_of(model)
    if not isinstance(images, Tensor):
        raise ConfigError(
            f"images of a model of pytorch are a tensor, not {type(images).__name__}",
            code="ENGINE-IMAGES",
            hint="torch.from_numpy makes one of an array.",
        )
    choice = choose(engine, device=images.device, why_not=_why_not(model, network, images))
    return replace(choice, name=choice.name.replace("pytorch float32", f"pytorch {_precision(images)}"))


@torch.no_grad()
def features(model: nn.Module, images: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
    """The outputs of layers by name, by our kernels; in memory they lie as PyTorch's would.

    Raises:
        ConfigError: no layer has this name; or as in `Engine.features`.
        SpecError: as in `Engine.features`.
    """
    taps = refusals.known(pytorch.network_of(model), layers)
    found = _engine(model, taps).features(images, taps)
    if _has_channels_last(model, images):
        return found
    return {name: tensor.contiguous() for name, tensor in found.items()}


def _precision(images: Tensor) -> str:
    """In which PyTorch computes."""
    place = images.device.type
    is_autocast = torch.amp.is_autocast_available(place) and torch.is_autocast_enabled(place)
    return str(torch.get_autocast_dtype(place) if is_autocast else images.dtype).removeprefix("torch.")


def _why_not(model: nn.Module, network: Network, images: Tensor) -> str | None:
    """What speaks against our kernels; None where they compute what the model would."""
    if type(images) is not Tensor:
        return f"the images are a {type(images).__name__}, no plain tensor"
    if images.dtype != torch.float32:
        return f"the images are {_precision(images)}, not float32"
    if images.ndim != 4 or images.shape[1] != network.input[0]:
        return f"the images are not (n, {network.input[0]}, height, width)"
    if images.requires_grad:
        return "the images want gradients"
    if any(module.training for module in model.modules()):
        return "the model is in train mode"
    if torch.is_autocast_enabled("cpu") or torch.compiler.is_compiling():
        return "PyTorch is told to compute in another way"
    if "_orig_mod" in model._modules:
        return "the model was given to torch.compile"
    if _is_watched(model) or repr(model) != _written(network):
        return "the model is no longer what verydeep.build gave: a module or a hook was added"
    tensors = pytorch.tensors(model).values()
    if any(tensor.device.type != "cpu" for tensor in (images, *tensors)):
        return "the images or the model are not on the CPU"
    if any(tensor.dtype != torch.float32 for tensor in tensors):
        return "the model is not float32"
    return None


def _is_watched(model: nn.Module) -> bool:
    """Whether somebody's function is called when a module of the model computes."""
    if global_hooks._global_forward_hooks or global_hooks._global_forward_pre_hooks:
        return True
    return any(
        module._forward_hooks or module._forward_pre_hooks or "forward" in vars(module) for module in model.modules()
    )


@lru_cache(maxsize=16)
def _written(network: Network) -> str:
    """How PyTorch writes out the modules of a network."""
    return repr(pytorch.without_numbers(network))


def _engine(model: nn.Module, taps: tuple[str, ...]) -> Engine:
    """The kept engine, if the weights that these layers need are still the same; otherwise a new one."""
    network, tensors = pytorch.network_of(model), pytorch.tensors(model)
    needed, in_place = _needed(network, taps), _used_in_place(network)
    places: dict[str, Print] = {
        name: (tensor.data_ptr(), tensor.stride(), tensor.shape) for name, tensor in tensors.items()
    }
    prints = {name: _print(tensors[name]) for name in needed if name not in in_place or _was_copied(tensors[name])}
    kept = _kept.get(model)
    if kept is None or _has_changed(kept, {name: places[name] for name in needed}, prints):
        kept = _kept[model] = _Kept(Engine.of(model), places)
    kept.prints.update(prints)
    return kept.engine


def _has_changed(kept: _Kept, places: Mapping[str, Print], prints: Mapping[str, Print]) -> bool:
    """Whether a weight lies elsewhere now, or has other numbers than those that were packed."""
    is_elsewhere = any(kept.places[name] != place for name, place in places.items())
    return is_elsewhere or any(kept.prints.get(name, found) != found for name, found in prints.items())


@lru_cache(maxsize=64)
def _needed(network: Network, taps: tuple[str, ...]) -> tuple[str, ...]:
    """The arrays of the layers that must be computed for these."""
    layers = {value.name for value in values(network, taps).computed}
    return tuple(name for name in shapes(network) if name.partition(".")[0] in layers)


@lru_cache(maxsize=16)
def _used_in_place(network: Network) -> frozenset[str]:
    """The weights that an engine reads where they are: of linear layers without batch norm."""
    computed = values(network, [step.layer.name for step in walk(network)]).computed
    normalised = {value.reads[0] for value in computed if isinstance(value.layer, BatchNorm)}
    return frozenset(
        f"{value.name}.weight" for value in computed if isinstance(value.layer, Linear) and value.name not in normalised
    )


def _was_copied(tensor: Tensor) -> bool:
    """Whether an engine cannot read a matrix where it lies, as a transposed one."""
    flags = tensor.detach().numpy().flags
    return not (flags.c_contiguous and flags.aligned)


def _print(tensor: Tensor) -> Print:
    """Equal for two looks at a tensor if nobody has changed its numbers, but for rounding."""
    version = -1 if tensor.is_inference() else tensor._version
    inside = tensor if tensor.ndim < 4 or tensor.is_contiguous() else tensor.permute(0, 2, 3, 1)  # as it lies in memory
    rows = inside.reshape(len(inside), -1)
    product = rows @ _random(rows.shape[1]) if rows.shape[1] > 1 else rows
    return version, product.numpy().tobytes()


@lru_cache(maxsize=64)
def _random(count: int) -> Tensor:
    return torch.rand(count, generator=torch.Generator().manual_seed(0)) + 0.5


def _has_channels_last(model: nn.Module, images: Tensor) -> bool:
    """Whether PyTorch would leave maps with channels last."""
    maps = (images, *(tensor for tensor in model.parameters() if tensor.ndim == 4))
    return any(
        tensor.is_contiguous(memory_format=torch.channels_last) and not tensor.is_contiguous() for tensor in maps
    )
