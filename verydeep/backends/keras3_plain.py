"""Layers of this package said in Keras's own, for models whose file must load without it."""

from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import layers, ops

from verydeep.backends.keras3_layers import (
    LocalResponseNormalization,
    PaddedPooling2D,
    UnbiasedBatchNormalization,
)
from verydeep.spec import Pair


def plain(layer: keras.layers.Layer) -> keras.layers.Layer:
    """A layer or a small model of Keras's own layers that does the same in inference, with the name of `layer`.

    Where there is none, a layer of the kind of `layer`. Weights are not copied.
    """
    if isinstance(layer, UnbiasedBatchNormalization):
        return layers.BatchNormalization.from_config(layer.get_config())
    if isinstance(layer, LocalResponseNormalization):
        return _normalisation(layer)
    if isinstance(layer, PaddedPooling2D) and layer.pooling == "average" and None not in _shape(layer.input):
        return _average(layer)
    return layer.__class__.from_config(layer.get_config())


def _normalisation(layer: LocalResponseNormalization) -> keras.Model:
    """What x * (k + alpha * sum) ** -beta says: a 1x1 convolution adds the squares of the neighbours up, and k."""
    shape = _shape(layer.input)
    images, channels = keras.Input(shape), shape[-1]
    between = np.abs(np.subtract.outer(np.arange(channels), np.arange(channels)))
    near = layers.Conv2D(channels, 1, data_format="channels_last", trainable=False)
    sums = near(layers.Multiply()([images, images]))
    near.set_weights([layer.alpha * (between <= layer.size // 2)[None, None], np.full(channels, layer.k)])
    return keras.Model(images, layers.Multiply()([images, ops.power(sums, -layer.beta)]), name=layer.name)


def _average(layer: PaddedPooling2D) -> keras.Model:
    """The mean with zeros around the map, times window / numbers of the map in the window, at every position."""
    shape, positions = _shape(layer.input), _shape(layer.output)
    zeros: list[Pair] = []
    shares: list[npt.NDArray[np.float64]] = []
    for axis in (0, 1):
        size, count, before, kernel = shape[axis], positions[axis], layer.sides[axis][0], layer.pool_size[axis]
        first = np.arange(count) * layer.strides[axis] - before
        end = int(first[-1]) + kernel
        zeros.append((before, max(end - size, 0)))
        shares.append(kernel / (np.minimum(first + kernel, size) - np.maximum(first, 0)))
    images = keras.Input(shape)
    padded = layers.ZeroPadding2D(tuple(zeros), data_format="channels_last")(images)
    means = layers.AveragePooling2D(layer.pool_size, layer.strides, data_format="channels_last")(padded)
    share = np.multiply.outer(*shares)[:, :, None]
    return keras.Model(images, layers.Rescaling(share.tolist())(means), name=layer.name)


def _shape(x: Any) -> tuple[int, ...]:
    """(h, w, c) of a map; a size that is not known is None."""
    return x.shape[1:]
