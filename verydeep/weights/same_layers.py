"""Does a file that lists its layers describe the network that is read? Arrays alone do not tell of a lost ReLU.

Keras writes the whole model beside its weights, Caffe and MatConvNet the kinds of the layers, their strides, padding
and pooling. A layer without weights that is missing there, or added (a Rescaling in front), makes another function of
the same arrays; so does an order of axes that the arrays do not show.
"""

from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import Any, cast

from verydeep.errors import WeightsError
from verydeep.spec import Conv, Linear, Network, Pool, ReLU, walk
from verydeep.weights.file_kinds import Content

Words = Iterator[tuple[str, str]]  # what a layer does, and its name

Options = Mapping[str, tuple[Any, ...]]  # the values of an option with which a layer is as every VGG has it

SILENT = {"InputLayer", "Dropout", "Flatten", "Softmax"}  # of Keras's classes: what changes nothing or is the user's
ACTIVATIONS = {"linear": "", "softmax": ""}  # scores or probabilities are the user's choice
KERAS = {"Conv2D": "conv", "MaxPooling2D": "pool", "Dense": "linear", "ReLU": "relu", "Activation": ""}
KERAS_OPTIONS: Mapping[str, Options] = {
    "Conv2D": {
        "kernel_size": ([3, 3],), "strides": ([1, 1],), "padding": ("same",), "dilation_rate": ([1, 1],), "groups": (1,)
    },
    "MaxPooling2D": {"pool_size": ([2, 2],), "strides": ([2, 2],), "padding": ("valid",)},
}  # fmt: skip
CHANNELS_FIRST = {"data_format": "channels_first", "dim_ordering": "th"}  # in Keras, and in Keras 1

CAFFE = {"Convolution": "conv", "Pooling": "pool", "InnerProduct": "linear", "ReLU": "relu"}
CAFFE_OPTIONS: Mapping[str, Options] = {
    "Convolution": {
        "kernel": ([3, 3],), "stride": ([1, 1],), "pad": ([1, 1],), "dilation": ([1, 1],), "group": (1,)
    },
    "Pooling": {"pool": ("MAX",), "kernel": ([2, 2],), "stride": ([2, 2],), "pad": ([0, 0],)},
}  # fmt: skip

MATCONVNET = {"conv": "conv", "pool": "pool", "relu": "relu"}
MATCONVNET_OPTIONS: Mapping[str, Options] = {
    "conv": {"pad": ([1, 1, 1, 1],), "stride": ([1, 1],), "dilate": ([1, 1],)},
    "linear": {"pad": ([0, 0, 0, 0],), "stride": ([1, 1],), "dilate": ([1, 1],)},  # a convolution there
    "pool": {
        "method": ("max",), "pool": ([2, 2],), "stride": ([2, 2],),
        "pad": ([0, 0, 0, 0], [0, 1, 0, 1]),  # converted from Caffe, whose pools round up: the same on even maps
    },
}  # fmt: skip

OTHER = {  # kinds of Caffe and MatConvNet that change the function; data, losses, dropout and softmax do not
    *("LRN", "Power", "MVN", "Scale", "BatchNorm", "Bias", "Sigmoid", "TanH", "PReLU", "ELU", "Eltwise", "Concat"),
    *("lrn", "normalize", "bnorm", "sigmoid", "normalizelp", "spnorm", "noffset"),
}


def refuse_other_layers(network: Network, content: Content) -> None:
    """Check that the layers which the file lists are those of `network`, in their order.

    Raises:
        WeightsError: they are others, of which it names the first; or Keras kept the channels first, so that the rows
            of the first matrix are in another order, or computed with Theano, which turns kernels around.
    """
    _refuse_other_axes(content.about)
    described = list(_described(content, network))
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


def _refuse_other_axes(about: Mapping[str, Any]) -> None:
    """Refuse what Keras says of axes that are not TensorFlow's, wherever in its description it stands."""
    found = "the backend theano" if about.get("backend") == "theano" else ""
    waiting: list[Any] = [about.get("config")]
    while waiting and not found:
        value = waiting.pop()
        if isinstance(value, list):
            waiting.extend(cast("list[Any]", value))
        entry = _entry(value)
        waiting.extend(entry.values())
        found = next((f"{key} {value}" for key, value in CHANNELS_FIRST.items() if entry.get(key) == value), "")
    if found:
        raise WeightsError(
            f"the file is of {found}, whose arrays mean something else in the same shapes",
            code="WEIGHTS-OTHER-LAYERS",
            hint="Build the model with data_format channels_last in its own program, bring the weights there, save it.",
        )


def _described(content: Content, network: Network) -> Words:
    if content.kind == "caffemodel":
        for name, kind, options in content.about["layers"]:
            if kind in CAFFE or kind in OTHER:
                yield _word(CAFFE.get(kind, str(kind)), options, as_in=CAFFE_OPTIONS.get(kind, {})), name
    elif content.kind == "mat":
        matrices = {step.layer.name for step in walk(network) if isinstance(step.layer, Linear)}
        for name, kind, options in content.about["layers"]:
            if kind in MATCONVNET or kind in OTHER:
                place = "linear" if name in matrices else kind
                yield _word(MATCONVNET.get(kind, str(kind)), options, as_in=MATCONVNET_OPTIONS.get(place, {})), name
    else:
        yield from _of_keras(content.about.get("config"))


def _word(word: str, options: Mapping[str, Any], *, as_in: Options) -> str:
    """`word`, and behind it each option that is not as every VGG has it; what the file does not say is."""
    others = [f"{key} {options[key]}" for key, same in as_in.items() if key in options and options[key] not in same]
    return " ".join([word, *others])


def _of_keras(config: Any) -> Words:
    """The layers of a Sequential or Functional model; a layer with an activation counts as two."""
    for layer in _entries(_entry(_entry(config).get("config")).get("layers")):
        kind, options = str(layer.get("class_name")), _entry(layer.get("config"))
        name = str(options.get("name"))
        word = _word(KERAS.get(kind, kind), options, as_in=KERAS_OPTIONS.get(kind, {}))
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
