"""Weights from anywhere as canonical ones, with all that is needed to use them; what does not fit is refused whole."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from verydeep.errors import ConfigError, WeightsError, choices
from verydeep.families import catalog
from verydeep.preprocessing import Preprocessing
from verydeep.rewrite.cut import head_weights, with_head
from verydeep.spec import Network
from verydeep.weights import canonical, file_kinds, imagenet
from verydeep.weights.canonical import WeightFile
from verydeep.weights.file_kinds import Content
from verydeep.weights.form import form
from verydeep.weights.formats import FORMATS, MEMORY, can_read, fitting, in_file, nearest, recognise
from verydeep.weights.initial import initial
from verydeep.weights.numbers import Float32, as_float32
from verydeep.weights.same_layers import refuse_other_layers

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Imported:
    """Weights of any origin, as this project has them, and what is known about their use."""

    network: Network
    weights: dict[str, Float32] = field(repr=False)  # canonical names, OIHW and (out, in)
    preprocessing: Preprocessing | None  # how their makers turned photographs into input; None: nobody knows
    classes: tuple[str, ...]  # names in the order of the outputs; (): nobody knows
    format: str  # a name in `FORMATS`
    notes: tuple[str, ...]  # what a user should be told
    head: Literal["read", "drawn"] = "read"  # drawn: the last layer is a new one, of which the source knows nothing


def import_weights(
    source: str | Path | Mapping[str, Any],
    network: Network | str | None = None,
    *,
    format: str | None = None,
    classes: int | None = None,
    seed: int = 0,
) -> Imported:
    """Read weights that any program wrote, all or nothing.

    What cannot be seen is not refused: layers of equal shape that were swapped, or another program's order of classes.

    Args:
        source: A file, whose kind is found by content and never by its name; or arrays or tensors by key.
        network: The network that they are for, or its name; None finds the one in the catalogue that they fit.
        format: A name in `FORMATS`; None finds it by the keys.
        classes: Outputs of the network; where the file has others, its last layer is left behind and a new one drawn.
        seed: Of the new last layer.

    Raises:
        ConfigError: no format or network has this name.
        WeightsError: the source is unreadable, would run code, holds arrays of another network, or too few or too many,
            or an array that nobody has trained: not finite, or one number everywhere.
    """
    if format is not None and format not in FORMATS:
        raise ConfigError(
            f"no weight format is called {format!r}", code="FORMAT-UNKNOWN", hint=choices(format, FORMATS)
        )
    wanted = catalog.network(network) if isinstance(network, str) else network
    try:
        content, record = _content(source)
        return _import(content, wanted, record=record, format=format, classes=classes, seed=seed)
    except WeightsError as error:
        is_named = isinstance(source, Mapping) or str(source) in error.message
        where = "" if is_named else f"{source}: "
        raise WeightsError(f"{where}{error.message}", code=error.code, hint=error.hint) from None


def _content(source: str | Path | Mapping[str, Any]) -> tuple[Content, WeightFile | None]:
    """The arrays of `source`, and what is written in the header of a file of ours."""
    if not isinstance(source, Mapping):
        content = file_kinds.read(Path(source))
        return content, canonical.load(Path(source)) if canonical.KEY in content.about.get("texts", {}) else None
    if all(isinstance(array, np.ndarray) for array in source.values()):
        return Content(MEMORY, dict(source), {}), None
    from verydeep.weights import state_dict  # which loads PyTorch; who hands over tensors has it

    return Content(MEMORY, state_dict.arrays(source), {}), None


def _import(
    content: Content,
    wanted: Network | None,
    *,
    record: WeightFile | None,
    format: str | None,
    classes: int | None,
    seed: int,
) -> Imported:
    name, network = _recognise(content, wanted or (record.network if record else None), format=format)
    if classes is not None:
        network = in_file(FORMATS[name], network, content)
    weights = _read(content, network, format=name)
    refuse_other_layers(network, content)
    notes = () if record is None else _differences(record.network, network)
    found = Imported(
        network=network,
        weights=weights,
        preprocessing=_preprocessing(content, network, record=record, format=name),
        classes=_class_names(content, network, record=record, format=name),
        format=name,
        notes=notes,
    )
    if classes is not None and classes != network.classes:
        found = _with_new_head(found, classes, seed=seed)
    return found if record is not None else replace(found, notes=(*found.notes, *_supposed(found, content.about)))


def _recognise(content: Content, network: Network | None, *, format: str | None) -> tuple[str, Network]:
    """The format of `content`, and the network that it is for."""
    if network is not None:
        return format or recognise(network, content), network
    name, networks = fitting(content, format=format)
    if len(networks) > 1:
        raise WeightsError(
            f"these arrays fit {' and '.join(network.name for network in networks)} alike",
            code="WEIGHTS-AMBIGUOUS",
            hint="Say for which network they are.",
        )
    return name, networks[0]


def _read(content: Content, network: Network, *, format: str) -> dict[str, Float32]:
    try:
        arrays = FORMATS[format].read(network, content.arrays)
        weights = {name: as_float32(name, array) for name, array in arrays.items()}
    except WeightsError as error:
        hint = _other_classes(content, network, format=format) or nearest(content, beyond=network) or error.hint
        raise WeightsError(error.message, code=error.code, hint=hint) from None
    for name, array in weights.items():
        if array.ndim > 1 and array.size > 1 and array.min() == array.max():
            raise WeightsError(
                f"{name} is {array.flat[0]:g} everywhere: nobody has trained it",
                code="WEIGHTS-UNTRAINED",
                hint="Save the weights of the trained network again; nothing was loaded.",
            )
    return weights


def _other_classes(content: Content, network: Network, *, format: str) -> str:
    """What to do where the number of classes is all that differs; empty where more does."""
    other = in_file(FORMATS[format], network, content)
    if other == network or not can_read(FORMATS[format], other, content):
        return ""
    return (
        f"They tell {other.classes} classes apart: build {network.name} with classes={other.classes}, load, then "
        f"change its head; or ask for a new head with classes={network.classes}."
    )


def _preprocessing(
    content: Content, network: Network, *, record: WeightFile | None, format: str
) -> Preprocessing | None:
    if record is not None:
        said = canonical.preprocessing_of(record.network, record.preprocessing)
        return said if record.network.input == network.input else None
    if "preprocessing" in content.about:  # an export of ours
        return canonical.preprocessing_of(network, content.about["preprocessing"])
    return FORMATS[format].preprocessing(network, content.about)


def _class_names(content: Content, network: Network, *, record: WeightFile | None, format: str) -> tuple[str, ...]:
    if record is not None:
        names = record.classes
    elif "classes" in content.about:
        names = tuple(content.about["classes"])
    else:
        is_imagenet = FORMATS[format].is_imagenet and network.classes == imagenet.CLASSES
        names = imagenet.class_names() if is_imagenet else ()
    return names if len(names) == network.classes else ()


def _supposed(found: Imported, about: Mapping[str, Any]) -> tuple[str, ...]:
    """What is told where the origin stands for what the file itself does not say."""
    supposed = {
        "preprocessing": found.preprocessing is not None and not about.keys() & {"preprocessing", "averageImage"},
        "class names": bool(found.classes) and "classes" not in about,
    }
    what = " and ".join(word for word, is_supposed in supposed.items() if is_supposed)
    verb = "is that" if what == "preprocessing" else "are those"
    said = f"{what} {verb} of {found.format}'s own ImageNet weights; the file does not say"
    return (said,) if what else ()


def _differences(described: Network, network: Network) -> tuple[str, ...]:
    """What is told where a file of ours is read for a network that computes something else with the same arrays."""
    if form(described) == form(network) and described.input == network.input:
        return ()
    return (f"the file is of {described.name}, whose layers or images differ from those of {network.name}",)


def _with_new_head(found: Imported, classes: int, *, seed: int) -> Imported:
    network = with_head(found.network, classes=classes)
    drawn = initial(network, seed=seed)
    names = head_weights(network)
    weights = {name: drawn[name] if name in names else array for name, array in found.weights.items()}
    layer = names[0].rpartition(".")[0]
    note = f"{layer} is new, drawn with seed {seed}: {classes} classes instead of {found.network.classes}"
    return replace(found, network=network, weights=weights, classes=(), notes=(*found.notes, note), head="drawn")
