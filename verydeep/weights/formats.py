"""Every way to name and lay out the arrays of a network, in a dict that you can read; a format is found by content."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy.typing as npt

from verydeep.errors import SpecError, WeightsError
from verydeep.families.catalog import CATALOG
from verydeep.preprocessing import Preprocessing
from verydeep.rewrite.cut import head_weights, with_head
from verydeep.spec import Network
from verydeep.weights import (
    caffe,
    flaxmodels,
    gluon,
    imagenet,
    keras_applications,
    keras_hub,
    matconvnet,
    nested,
    timm,
    torchvision,
)
from verydeep.weights.file_kinds import Content
from verydeep.weights.fit import refuse_misfit, shapes, some
from verydeep.weights.layout import Stored, stored

Array = npt.NDArray[Any]
About = Mapping[str, Any]

MEMORY = "memory"  # the kind of arrays that come from no file: they may be in any format
PYTORCH = ("torch", "safetensors")


def _nobody_knows(network: Network, about: About) -> None:
    """No preprocessing: these names are used for networks that anyone trained."""
    del network, about


@dataclass(frozen=True, slots=True)
class Format:
    """One way to name and lay out the arrays of a network, and to read them."""

    places: Callable[[Network], dict[str, Stored]]  # of every canonical name; WeightsError: it has no such network
    read: Callable[[Network, Mapping[str, Array]], dict[str, Array]]  # canonical weights
    kinds: tuple[str, ...]  # of file that it comes in
    preprocessing: Callable[[Network, About], Preprocessing | None] = _nobody_knows
    spelled: Callable[[Mapping[str, Array]], dict[str, Array]] = dict  # keys as in `places`, where versions differ
    is_imagenet: bool = False  # whether 1000 outputs are ImageNet's classes


def _canonical_places(network: Network) -> dict[str, Stored]:
    return stored(network, {name: name for name in shapes(network)})


def _from_canonical(network: Network, state: Mapping[str, Array]) -> dict[str, Array]:
    refuse_misfit(shapes(network), state, of=network.name)
    return dict(state)


def _of(record: Preprocessing) -> Callable[[Network, About], Preprocessing | None]:
    return lambda network, _: imagenet.where_it_applies(record, network)


FORMATS: dict[str, Format] = {
    "canonical": Format(_canonical_places, _from_canonical, PYTORCH),  # conv1_1.weight
    "model": Format(  # block1.conv1_1.weight, from model.state_dict()
        lambda network: stored(network, nested.names(network)), nested.from_model, PYTORCH
    ),
    "torchvision": Format(  # features.0.weight
        lambda network: stored(network, torchvision.names(network)),
        torchvision.from_torchvision,
        PYTORCH,
        lambda network, _: torchvision.preprocessing(network),
        is_imagenet=True,
    ),
    "timm": Format(  # features.0.weight, pre_logits.fc1.weight
        timm.places,
        timm.from_timm,
        PYTORCH,
        lambda network, _: torchvision.preprocessing(network),  # the same, and of no ResNet
        is_imagenet=True,
    ),
    "keras": Format(  # block1_conv1/block1_conv1/kernel:0
        keras_applications.places,
        keras_applications.from_keras,
        ("hdf5",),
        _of(keras_applications.PREPROCESSING),
        keras_applications.by_name,
        is_imagenet=True,
    ),
    "keras3": Format(  # layers/conv2d/vars/0
        keras_applications.counted_places,
        keras_applications.from_keras3,
        ("hdf5", "keras"),
        _of(keras_applications.PREPROCESSING),
        is_imagenet=True,
    ),
    "keras_hub": Format(  # layers/vgg_backbone/layers/conv2d/vars/0, fc1 and fc2 as convolutions
        keras_hub.places, keras_hub.from_keras_hub, ("hdf5", "keras"), _of(keras_hub.PREPROCESSING), is_imagenet=True
    ),
    "keras_hub_flatten": Format(  # the same, fc1 and fc2 as matrices
        keras_hub.flatten_places,
        keras_hub.from_keras_hub_flatten,
        ("hdf5", "keras"),
        _of(keras_hub.PREPROCESSING),
        is_imagenet=True,
    ),
    "flaxmodels": Format(  # conv1_1/weight
        flaxmodels.places,
        flaxmodels.from_flaxmodels,
        ("hdf5",),
        _of(flaxmodels.PREPROCESSING),
        is_imagenet=True,
    ),
    "caffe": Format(  # conv1_1/0
        caffe.places, caffe.from_caffe, ("caffemodel",), _of(caffe.PREPROCESSING), is_imagenet=True
    ),
    "matconvnet": Format(  # conv1_1/0
        matconvnet.places,
        matconvnet.from_matconvnet,
        ("mat",),
        lambda network, about: matconvnet.preprocessing(network, about.get("averageImage")),
        is_imagenet=True,
    ),
    "gluon_zoo": Format(  # features.0.weight, output.weight
        lambda network: stored(network, gluon.zoo_names(network)),
        gluon.from_zoo,
        ("mxnet",),
        _of(gluon.ZOO_PREPROCESSING),
        is_imagenet=True,
    ),
    "gluon": Format(  # block1.conv1_1.weight, bn1_1.gamma
        lambda network: stored(network, gluon.model_names(network)), gluon.from_model, ("mxnet",)
    ),
    "mxnet_symbol": Format(  # conv1_1_weight
        lambda network: stored(network, gluon.symbol_names(network)), gluon.from_symbol, ("mxnet",)
    ),
}


def recognise(network: Network, content: Content) -> str:
    """The format whose names for `network` most keys of `content` are; between equals, the one whose shapes fit.

    Raises:
        WeightsError: no key is a name of any format.
    """
    counts = {name: _hits(form, network, content) for name, form in _possible(content).items()}
    best = max(counts, key=lambda name: counts[name], default="")
    if best and counts[best][0]:
        return best
    raise unknown(content, of=network.name)


def fitting(content: Content, *, format: str | None = None) -> tuple[str, list[Network]]:
    """The format of `content`, and the networks of the catalogue that it fits, with the classes that it has.

    Raises:
        WeightsError: no network of the catalogue has these names.
    """
    chosen = _possible(content) if format is None else {format: FORMATS[format]}
    for name, form in chosen.items():
        keys = form.spelled(content.arrays).keys()
        named = [in_file(form, network, content) for network, known in _known(name) if known <= keys]
        networks = [network for network in named if can_read(form, network, content)]
        if networks:
            return name, networks
    raise unknown(content, of="the catalogue")


def in_file(form: Format, network: Network, content: Content) -> Network:
    """`network` with the number of classes that `content` has, as the bias of its head tells."""
    try:
        *_, last = head_weights(network)
    except SpecError:  # no head that could be another
        return network
    bias = form.spelled(content.arrays).get(form.places(network)[last].key)
    return network if bias is None or bias.size in (0, network.classes) else with_head(network, classes=bias.size)


def can_read(form: Format, network: Network, content: Content) -> bool:
    """Whether the arrays are exactly those of `network`."""
    try:
        form.read(network, content.arrays)
    except WeightsError:
        return False
    return True


def nearest(content: Content, *, beyond: Network | None = None) -> str:
    """Whose names these are, as a sentence: of the known network with most of them, if more than of `beyond`."""
    found, most = "", 0
    if beyond is not None:
        most = max(_hits(form, beyond, content)[0] for form in FORMATS.values())
    for name, form in _possible(content).items():
        keys = form.spelled(content.arrays).keys()
        for network, known in _known(name):
            if known <= keys and len(known) > most:
                found, most = f"These are {name}'s names of {network.name}.", len(known)
    return found


def unknown(content: Content, *, of: str) -> WeightsError:
    """The refusal of arrays that no format names so; a prefix that all keys have is pointed out."""
    first = {key.partition(".")[0] for key in content.arrays}
    hint = nearest(content)
    if not hint and len(first) == 1:
        prefix = f"{first.pop()}."
        without = {key.removeprefix(prefix): array for key, array in content.arrays.items()}
        hint = f"All keys begin with '{prefix}'; remove that. {nearest(replace(content, arrays=without))}".rstrip()
    return WeightsError(
        f"no array has a name that {of} knows in any format ({', '.join(_possible(content))}); they are called "
        f"{some(list(content.arrays), most=3)}",
        code="WEIGHTS-FORMAT",
        hint=hint or "Convert them to canonical names first.",
    )


def _possible(content: Content) -> dict[str, Format]:
    return {name: form for name, form in FORMATS.items() if content.kind in (*form.kinds, MEMORY)}


def _hits(form: Format, network: Network, content: Content) -> tuple[int, int]:
    """How many keys are names of the network in this format, and how many of these have the shape too."""
    arrays = form.spelled(content.arrays)
    here = [place for place in _places(form, network).values() if place.key in arrays]
    return len(here), sum(arrays[place.key].shape == place.shape for place in here)


def _places(form: Format, network: Network) -> dict[str, Stored]:
    try:
        return form.places(network)
    except WeightsError:  # this network has no such form
        return {}


@cache
def _known(name: str) -> tuple[tuple[Network, frozenset[str]], ...]:
    """Every network of the catalogue that a format has, with its keys."""
    networks = [family() for family in CATALOG.values()]
    keys = [frozenset(place.key for place in _places(FORMATS[name], network).values()) for network in networks]
    return tuple((network, known) for network, known in zip(networks, keys, strict=True) if known)
