"""Weights from anywhere into a built model: the format is found by content, and all goes in or nothing."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy.typing as npt
from torch import nn

from verydeep.backends.pytorch import network_of, set_weights
from verydeep.errors import ConfigError, WeightsError
from verydeep.families.catalog import CATALOG
from verydeep.spec import Network
from verydeep.weights import canonical, nested, state_dict, tensor_file, torchvision
from verydeep.weights.fit import refuse_misfit, shapes, some
from verydeep.weights.numbers import as_float32

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Format:
    """One way to name the arrays of a network, and to read them."""

    names: Callable[[Network], dict[str, str]]  # the key of every canonical name; WeightsError: no such form
    read: Callable[[Network, Mapping[str, Array]], dict[str, Array]]  # canonical weights from a state dict


def _canonical_names(network: Network) -> dict[str, str]:
    return {name: name for name in shapes(network)}


def _from_canonical(network: Network, state: Mapping[str, Array]) -> dict[str, Array]:
    refuse_misfit(shapes(network), state, of=network.name)
    return dict(state)


FORMATS: dict[str, Format] = {
    "canonical": Format(_canonical_names, _from_canonical),  # conv1_1.weight; also our own file
    "model": Format(nested.names, nested.from_model),  # block1.conv1_1.weight, from model.state_dict()
    "torchvision": Format(torchvision.names, torchvision.from_torchvision),  # features.0.weight
}


def load_weights(model: nn.Module, source: str | Path | Mapping[str, Any], *, format: str | None = None) -> str:
    """Put the weights in `source` into `model`, all or nothing, as float32; return the name of their format.

    Args:
        model: What a build gave.
        source: A safetensors file (ours or any other), a file of `torch.save` that holds tensors only, or a state dict
            of tensors or arrays. float16 and bfloat16 are taken exactly, float64 is rounded.
        format: A name in `FORMATS`; None finds it by the names of the arrays. The file's own name plays no part.

    Raises:
        ConfigError: no format has this name, or the model is not what `build` gave.
        WeightsError: the source is unreadable, needs code to be read or does not fit; the model is unchanged.
    """
    if format is not None and format not in FORMATS:
        near = get_close_matches(format, FORMATS, n=1)
        hint = f"Did you mean {near[0]}?" if near else f"Choose from {', '.join(FORMATS)}."
        raise ConfigError(f"no weight format is called {format!r}", code="FORMAT-UNKNOWN", hint=hint)
    network = network_of(model)
    state = state_dict.arrays(source) if isinstance(source, Mapping) else read(Path(source))
    try:
        found = format or recognise(network, state)
        arrays = FORMATS[found].read(network, state)
        set_weights(model, {name: as_float32(name, array) for name, array in arrays.items()})
    except WeightsError as error:
        where = "" if isinstance(source, Mapping) else f"{source}: "
        hint = _nearest(network, state) or error.hint
        raise WeightsError(f"{where}{error.message}", code=error.code, hint=hint) from None
    return found


def read(path: Path) -> dict[str, Array]:
    """The arrays in a file under its own names; what kind of file it is, its first bytes tell.

    Raises:
        WeightsError: it is neither safetensors nor PyTorch's, is damaged, or needs code to be read.
    """
    try:
        with path.open("rb") as file:
            head = file.read(9)
    except OSError as error:
        raise WeightsError(
            f"{path} cannot be opened: {error.strerror}", code="WEIGHTS-UNREADABLE", hint="Check the path."
        ) from None
    if head[8:] == b"{":  # safetensors: the length of the header in eight bytes, then the header, a JSON object
        return dict(canonical.load(path).weights) if canonical.is_ours(path) else tensor_file.read(path)
    if head.startswith((b"PK\x03\x04", b"\x80")):  # torch.save: a zip since PyTorch 1.6, a pickle before
        return state_dict.read(path)
    raise WeightsError(
        f"{path} is neither a safetensors file nor a PyTorch one",
        code="WEIGHTS-FORMAT",
        hint="Is it a complete download, or weights of another framework?",
    )


def recognise(network: Network, state: Mapping[str, Array]) -> str:
    """The format whose names for `network` most keys of `state` are.

    Raises:
        WeightsError: no key is a name of any format.
    """
    counts = {name: len(_keys(form, network) & state.keys()) for name, form in FORMATS.items()}
    best = max(counts, key=lambda name: counts[name])
    if counts[best]:
        return best
    first = {key.partition(".")[0] for key in state}
    hint = f"All keys begin with '{first.pop()}.'; remove that." if len(first) == 1 else ""
    raise WeightsError(
        f"no array has a name that {network.name} knows in any format ({', '.join(FORMATS)}); they are called "
        f"{some(list(state), most=3)}",
        code="WEIGHTS-FORMAT",
        hint=hint or "Convert them to canonical names first.",
    )


def _nearest(network: Network, state: Mapping[str, Array]) -> str:
    """Which other network of the catalogue has the names in `state`: the one with most of them; empty if none."""
    nearest, most = "", max(len(_keys(form, network) & state.keys()) for form in FORMATS.values())
    for name, family in CATALOG.items():
        other = family()
        for form in FORMATS.values():
            keys = _keys(form, other)
            if keys <= state.keys() and len(keys) > most:
                nearest, most = name, len(keys)
    return f"Their names are those of {nearest}." if nearest else ""


def _keys(form: Format, network: Network) -> set[str]:
    try:
        return set(form.names(network).values())
    except WeightsError:  # this network has no such form
        return set()
