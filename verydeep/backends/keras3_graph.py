"""From a description to the layers of a functional Keras model: the library's own wherever they mean the same."""

import re
from typing import Any, assert_never

import keras
from keras import layers

from verydeep.backends import keras_words
from verydeep.backends.keras3_layers import (
    LocalResponseNormalization,
    PaddedPooling2D,
    SampledConv2D,
    UnbiasedBatchNormalization,
)
from verydeep.backends.keras_words import Plan
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
)

LAYOUT = "channels_last"  # said to every layer: a user's keras.json may have another default


def model(network: Network) -> keras.Model:
    """`network` with Keras's own initial weights. Where it makes no vector, the model reads images of any size.

    Raises:
        ConfigError: a layer has a name that Keras cannot take.
    """
    plan = keras_words.plan(network)
    images = keras.Input(plan.images, name=plan.helper("images"))
    x = images
    for block in network.blocks:
        x = _sequence(block.layers, x, plan)
    name = re.sub(r"[^A-Za-z0-9_.-]+", "_", network.name).lstrip("_-")  # what TensorFlow takes
    return keras.Model(images, x, name=name or "network")


def _sequence(path: tuple[Layer, ...], x: Any, plan: Plan) -> Any:
    for layer in path:
        x = _apply(layer, x, plan)
    return x


def _apply(layer: Layer, x: Any, plan: Plan) -> Any:
    match layer:
        case Conv():
            return _conv(layer, x, plan)
        case Pool():
            return _pool(layer, x, plan)
        case Linear():
            return layers.Dense(layer.features, use_bias=layer.bias, name=layer.name)(x)
        case BatchNorm():
            # Keras's momentum is the share of the old value.
            norm = UnbiasedBatchNormalization(momentum=1 - layer.momentum, epsilon=layer.epsilon, name=layer.name)
            return norm(x)
        case ReLU():
            return layers.ReLU(name=layer.name)(x)
        case Tanh():
            return layers.Activation("tanh", name=layer.name)(x)
        case Dropout():
            return layers.Dropout(layer.rate, name=layer.name)(x)
        case LRN(size=size, alpha=alpha, beta=beta, k=k):
            return LocalResponseNormalization(size=size, alpha=alpha, beta=beta, k=k, name=layer.name)(x)
        case Flatten():
            if plan.shapes[layer.name][1:] != (1, 1):  # Keras's own order is row, column, channel
                x = layers.Permute((3, 1, 2), name=plan.helper(f"{layer.name}_channels_first"))(x)
            return layers.Flatten(data_format=LAYOUT, name=layer.name)(x)
        case PadChannels(before=before, after=after):
            # Keras pads the last two axes of "channels_first": here these are the columns and the channels.
            pad = layers.ZeroPadding2D(((0, 0), (before, after)), data_format="channels_first", name=layer.name)
            return pad(x)
        case Parallel():
            ends = [_sequence(path, x, plan) for path in layer.paths]
            join = layers.Concatenate if layer.join == "concat" else layers.Add
            return join(name=layer.name)(ends)
    assert_never(layer)


def _conv(layer: Conv, x: Any, plan: Plan) -> Any:
    padding = keras_words.of_conv(layer)
    options: dict[str, Any] = {
        "padding": padding.word,
        "data_format": LAYOUT,
        "dilation_rate": layer.dilation,
        "groups": layer.groups,
        "use_bias": layer.bias,
        "name": layer.name,
    }
    if max(layer.stride) > 1 and max(layer.dilation) > 1:
        conv = SampledConv2D(layer.channels, layer.kernel, sampling=layer.stride, **options)
    else:
        conv = layers.Conv2D(layer.channels, layer.kernel, layer.stride, **options)
    return conv(_padded(layer.name, x, padding.zeros, plan))


def _pool(layer: Pool, x: Any, plan: Plan) -> Any:
    maximum = layer.pooling == "max"
    if layer.kernel is None:
        whole = layers.GlobalMaxPooling2D if maximum else layers.GlobalAveragePooling2D
        return whole(data_format=LAYOUT, keepdims=True, name=layer.name)(x)
    padding = plan.pool(layer)
    if padding.word == "own":
        own = PaddedPooling2D(
            pooling=layer.pooling,
            pool_size=layer.kernel,
            strides=layer.stride,
            sides=layer.padding,
            rounding=layer.rounding,
            name=layer.name,
        )
        return own(x)
    kind = layers.MaxPooling2D if maximum else layers.AveragePooling2D
    pool = kind(layer.kernel, layer.stride, padding=padding.word, data_format=LAYOUT, name=layer.name)
    return pool(_padded(layer.name, x, padding.zeros, plan))


def _padded(name: str, x: Any, zeros: Padding, plan: Plan) -> Any:
    if zeros == keras_words.NONE:
        return x
    return layers.ZeroPadding2D(zeros, data_format=LAYOUT, name=plan.helper(f"{name}_pad"))(x)
