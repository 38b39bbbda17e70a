"""The same network as plain Keras source that runs without this package."""

from collections.abc import Iterator
from typing import assert_never

from verydeep.backends import keras_words
from verydeep.backends.keras_words import Plan
from verydeep.report.source.keras_helpers import HELPERS
from verydeep.report.source.written import INDENT, call, docstring, even, function_name, pair, used
from verydeep.report.words import length
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
    Parallel,
    Pool,
    ReLU,
    Tanh,
    walk,
)

TAKEN = ("keras", "layers", "ops", "images", "logits", "print", "tuple", "float", "range", "sum", "super", "dict")
BIASED = "# Keras's moving variance follows the variance of each batch divided by n, verydeep's that divided by n - 1."
CHANNEL_MAJOR = "# Channel by channel, so that the weights that follow are those of any other framework."
CHANNELS = "# Zeros around the channels: for Keras the last two axes of channels_first, here columns and channels."


def source(network: Network) -> str:
    """Keras source of the network: one function, named after it, that returns a functional `keras.Model`.

    Layers have the spec's names, so each takes the weights of the built network's layer of its name. Helpers appear
    only where they are used.

    Raises:
        ConfigError: a layer has a name that Keras cannot take.
    """
    plan = keras_words.plan(network)
    function = function_name(network.name, taken=(*HELPERS, *TAKEN))
    channels, height, width = network.input
    body = [f"x = images = {call('keras.Input', str(plan.images), name=_quoted(plan.helper('images')))}"]
    if any(isinstance(step.layer, BatchNorm) for step in walk(network)):
        body.insert(0, BIASED)
    for block in network.blocks:
        body.extend(("", f"# {block.name}", *_sequence(block.layers, "x", plan, reads="x")))
    body.extend(("", f'return keras.Model(images, x, name="{function}")'))
    helpers = "".join(f"{helper}\n\n" for helper in used(HELPERS, "\n".join(body)))
    parts = (
        docstring(network, framework="Keras", needs="keras and what it runs on"),
        "",
        "import keras",
        "from keras import layers, ops" if "ops." in helpers else "from keras import layers",
        f"\n\n{helpers}def {function}() -> keras.Model:",
        f'{INDENT}"""The network with Keras\'s default initial weights; images are (n, height, width, channels)."""',
        *(f"{INDENT}{line}".rstrip() for line in body),
        "\n",
        'if __name__ == "__main__":',
        f"{INDENT}images = keras.random.normal((2, {height}, {width}, {channels}))",
        f"{INDENT}print(tuple({function}()(images).shape))",
    )
    return "\n".join(parts) + "\n"


def _sequence(path: tuple[Layer, ...], variable: str, plan: Plan, *, reads: str) -> Iterator[str]:
    """Statements that bring what the variable `reads` holds through the layers, into `variable`."""
    for layer in path:
        if isinstance(layer, Parallel):
            yield from _parallel(layer, variable, plan, reads=reads)
        else:
            calls = _layer(layer, plan)
            if isinstance(layer, PadChannels):
                yield CHANNELS
            if isinstance(layer, Flatten) and len(calls) > 1:
                yield CHANNEL_MAJOR
            for constructor in calls:
                yield f"{variable} = {constructor}({reads})"
                reads = variable
        reads = variable


def _parallel(layer: Parallel, variable: str, plan: Plan, *, reads: str) -> Iterator[str]:
    """The paths, each in a variable of its own, and the join; an empty path is what the others read."""
    ends: list[str] = []
    for number, path in enumerate(layer.paths, start=1):
        own = f"{variable}{number}" if variable == "x" else f"{variable}_{number}"
        yield from _sequence(path, own, plan, reads=reads)
        ends.append(own if path else reads)
    kind = "Concatenate" if layer.join == "concat" else "Add"
    yield f"{variable} = {call(f'layers.{kind}', name=_quoted(layer.name))}([{', '.join(ends)}])"


def _layer(
    layer: Conv | Pool | Linear | BatchNorm | ReLU | Tanh | Dropout | LRN | Flatten | PadChannels, plan: Plan
) -> list[str]:
    """The layer's constructor call, behind those of the helper layers that it needs."""
    name = _quoted(layer.name)
    match layer:
        case Conv():
            return _conv(layer, plan)
        case Pool():
            return _pool(layer, plan)
        case Linear():
            return [call("layers.Dense", layer.features, use_bias=None if layer.bias else "False", name=name)]
        case BatchNorm(momentum=momentum, epsilon=epsilon):  # Keras's momentum is the share of the old value
            return [call("layers.BatchNormalization", momentum=repr(1 - momentum), epsilon=repr(epsilon), name=name)]
        case ReLU():
            return [call("layers.ReLU", name=name)]
        case Tanh():
            return [call("layers.Activation", '"tanh"', name=name)]
        case Dropout():
            return [call("layers.Dropout", repr(layer.rate), name=name)]
        case LRN():
            numbers = {number: repr(getattr(layer, number)) for number in ("size", "alpha", "beta", "k")}
            return [call("LocalResponseNormalization", **numbers, name=name)]
        case Flatten():
            flatten = call("layers.Flatten", name=name)
            if plan.shapes[layer.name][1:] == (1, 1):
                return [flatten]
            helper = _quoted(plan.helper(f"{layer.name}_channels_first"))
            return [call("layers.Permute", "(3, 1, 2)", name=helper), flatten]
        case PadChannels():
            sides = f"((0, 0), ({layer.before}, {layer.after}))"
            return [call("layers.ZeroPadding2D", sides, data_format='"channels_first"', name=name)]
    assert_never(layer)


def _conv(layer: Conv, plan: Plan) -> list[str]:
    padding = keras_words.of_conv(layer)
    sampled = max(layer.stride) > 1 and max(layer.dilation) > 1
    strides = pair(layer.stride, default=1)
    conv = call(
        "SampledConv2D" if sampled else "layers.Conv2D",
        layer.channels,
        str(length(layer.kernel)),
        strides=None if sampled else strides,
        sampling=str(layer.stride) if sampled else None,
        padding=None if padding.word == "valid" else _quoted(padding.word),
        dilation_rate=pair(layer.dilation, default=1),
        groups=None if layer.groups == 1 else str(layer.groups),
        use_bias=None if layer.bias else "False",
        name=_quoted(layer.name),
    )
    return [*_zeros(layer.name, padding.zeros, plan), conv]


def _pool(layer: Pool, plan: Plan) -> list[str]:
    kind, name = "Max" if layer.pooling == "max" else "Average", _quoted(layer.name)
    if layer.kernel is None:
        return [call(f"layers.Global{kind}Pooling2D", keepdims="True", name=name)]
    padding = plan.pool(layer)
    if padding.word == "own":
        ceil = "True" if layer.rounding == "ceil" else None
        sizes = {"pool_size": str(layer.kernel), "strides": str(layer.stride), "sides": str(layer.padding)}
        return [call(f"Padded{kind}Pooling2D", **sizes, ceil=ceil, name=name)]
    pool = call(
        f"layers.{kind}Pooling2D",
        str(length(layer.kernel)),
        strides=None if layer.stride == layer.kernel else str(length(layer.stride)),
        padding=None if padding.word == "valid" else _quoted(padding.word),
        name=name,
    )
    return [*_zeros(layer.name, padding.zeros, plan), pool]


def _zeros(name: str, padding: Padding, plan: Plan) -> list[str]:
    if padding == keras_words.NONE:
        return []
    symmetric = even(padding)
    sides = str(length(symmetric) if symmetric else padding)
    return [call("layers.ZeroPadding2D", sides, name=_quoted(plan.helper(f"{name}_pad")))]


def _quoted(word: str) -> str:
    return f'"{word}"'
