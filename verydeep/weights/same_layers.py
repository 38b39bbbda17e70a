"""Does a file that lists its layers describe the network that is read? Arrays alone do not tell of a lost ReLU.

Keras writes the whole model beside its weights, Caffe and MatConvNet the kinds of the layers. A layer without weights
that is missing there, or added (a Rescaling in front), makes another function of the same arrays.
"""

from collections.abc import Iterator
from itertools import zip_longest
from typing import Any, cast

from verydeep.errors import WeightsError
from verydeep.spec import Conv, Linear, Network, Pool, ReLU, walk
from verydeep.weights.file_kinds import Content

Words = Iterator[tuple[str, str]]  # what a layer does, and its name

SILENT = {"InputLayer", "Dropout", "Flatten", "Softmax"}  # of Keras's classes: what changes nothing or is the user's
ACTIVATIONS = {"linear": "", "softmax": ""}  # scores or probabilities are the user's choice
KERAS = {"Conv2D": "conv", "MaxPooling2D": "pool", "Dense": "linear", "ReLU": "relu", "Activation": ""}
OPTIONS = {  # as every VGG has them
    "Conv2D": {"kernel_size": [3, 3], "strides": [1, 1], "padding": "same", "dilation_rate": [1, 1], "groups": 1},
    "MaxPooling2D": {"pool_size": [2, 2], "strides": [2, 2], "padding": "valid"},
}

CAFFE = {"Convolution": "conv", "Pooling": "pool", "InnerProduct": "linear", "ReLU": "relu"}
MATCONVNET = {"conv": "conv", "pool": "pool", "relu": "relu"}
OTHER = {  # kinds of Caffe and MatConvNet that change the function; data, losses, dropout and softmax do not
    *("LRN", "Power", "MVN", "Scale", "BatchNorm", "Bias", "Sigmoid", "TanH", "PReLU", "ELU", "Eltwise", "Concat"),
    *("lrn", "normalize", "bnorm", "sigmoid", "normalizelp", "spnorm", "noffset"),
}


def refuse_other_layers(network: Network, content: Content) -> None:
    """Check that the layers which the file lists are those of `network`, in their order.

    Raises:
        WeightsError: they are others; names the first.
    """
    described = list(_described(content))
    if all(word in ("conv", "linear") for word, _ in described):  # nothing is said of the layers without weights
        return
    expected = list(_ours(network, has_matrices=content.kind != "mat"))
    for (found, theirs), (word, ours) in zip_longest(described, expected, fillvalue=("", "")):
        if found != word:
            has = f"{theirs} ({found})" if found else "nothing"
            wanted = f"{ours} ({word})" if word else "nothing"
            raise WeightsError(
                f"the file describes another network than {network.name}: it has {has} where {wanted} is expected",
                code="WEIGHTS-OTHER-LAYERS",
                hint="The same arrays would compute something else; describe that network and read it with its arrays.",
            )


def _ours(network: Network, *, has_matrices: bool) -> Words:
    for step in walk(network):
        match step.layer:
            case Conv():
                yield "conv", step.layer.name
            case Linear():
                yield "linear" if has_matrices else "conv", step.layer.name
            case ReLU():
                yield "relu", step.layer.name
            case Pool():
                yield "pool", step.layer.name
            case _:
                pass


def _described(content: Content) -> Words:
    yield from _of_keras(content.about.get("config"))
    kinds = {"caffemodel": CAFFE, "mat": MATCONVNET}.get(content.kind, {})
    for name, kind in content.about.get("layers", ()) if kinds else ():
        if kind in kinds or kind in OTHER:
            yield str(kinds.get(kind, kind)), name


def _of_keras(config: Any) -> Words:
    """The layers of a Sequential or Functional model; a layer with an activation counts as two."""
    for layer in _entries(_entry(_entry(config).get("config")).get("layers")):
        kind, options = str(layer.get("class_name")), _entry(layer.get("config"))
        name = str(options.get("name"))
        others = [
            f"{key} {options[key]}" for key, same in OPTIONS.get(kind, {}).items() if options.get(key, same) != same
        ]
        word = " ".join([KERAS.get(kind, kind), *others])
        if kind not in SILENT and word:
            yield word, name
        activation = options.get("activation", "linear")
        called = str(_entry(activation).get("config", activation))
        if word := ACTIVATIONS.get(called, called):
            yield word, name


def _entry(value: Any) -> dict[str, Any]:
    """The object that stands here in a file's JSON; empty where something else does."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _entries(value: Any) -> list[dict[str, Any]]:
    return [_entry(entry) for entry in cast("list[Any]", value)] if isinstance(value, list) else []
