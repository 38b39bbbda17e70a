"""The layers that Keras does not have; a saved model that holds one loads after ``import verydeep.backends.keras3``."""

from typing import Any, Literal

import keras
from keras import ops

from verydeep.spec import Padding, Pair

PACKAGE = "verydeep"  # under which Keras knows the layers in a saved model


@keras.saving.register_keras_serializable(PACKAGE)
class UnbiasedBatchNormalization(keras.layers.BatchNormalization):
    """Batch norm whose running variance follows the unbiased variance of the batch, divided by n - 1, not by n."""

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Any shape with channels last, to the same shape."""
        if not (training and self.trainable):
            return super().call(inputs, training=training, mask=mask)
        variance: Any = self.moving_variance
        kept = variance * self.momentum
        outputs = super().call(inputs, training=training, mask=mask)
        new = variance - kept  # the share of this batch
        count = ops.cast(ops.size(inputs) // inputs.shape[-1], kept.dtype)
        variance.assign(kept + new * count / ops.maximum(count - 1, 1))
        return outputs


@keras.saving.register_keras_serializable(PACKAGE)
class LocalResponseNormalization(keras.layers.Layer):
    """x / (k + alpha * sum of `size` neighbouring channels' squares) ** beta; alpha is not divided by the size."""

    def __init__(self, *, size: int, alpha: float, beta: float, k: float, **options: Any) -> None:
        super().__init__(**options)
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def call(self, inputs: Any) -> Any:
        """(n, h, w, c) to the same shape."""
        side, channels = self.size // 2, inputs.shape[-1]
        squares = ops.pad(ops.square(inputs), ((0, 0), (0, 0), (0, 0), (side, side)))
        near = sum(squares[..., first : first + channels] for first in range(self.size))
        return inputs / (self.k + self.alpha * near) ** self.beta

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape of the input."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        own = {"size": self.size, "alpha": self.alpha, "beta": self.beta, "k": self.k}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(PACKAGE)
class PaddedPooling2D(keras.layers.Layer):
    """A pool whose padding is stated for each side and never counts; it may round up, and takes maps of any size."""

    def __init__(
        self,
        *,
        pooling: Literal["max", "average"],
        pool_size: Pair,
        strides: Pair,
        sides: Padding,
        rounding: Literal["floor", "ceil"],
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.pooling: Literal["max", "average"] = pooling
        self.pool_size: Pair = (pool_size[0], pool_size[1])  # a saved model has lists
        self.strides: Pair = (strides[0], strides[1])
        (top, bottom), (left, right) = sides
        self.sides: Padding = ((top, bottom), (left, right))
        self.rounding: Literal["floor", "ceil"] = rounding

    def call(self, inputs: Any) -> Any:
        """(n, h, w, c) to (n, h', w', c)."""
        if self.pooling == "max":
            return self._pool(ops.max_pool, inputs, around=float("-inf"))
        share = self._pool(ops.average_pool, ops.ones_like(inputs[:1, :, :, :1]), around=0.0)
        return self._pool(ops.average_pool, inputs, around=0.0) / share

    def _pool(self, pool: Any, x: Any, *, around: float) -> Any:
        """`pool` over `x` with numbers `around` it, without the windows that begin beyond the map."""
        room = [stride - 1 if self.rounding == "ceil" else 0 for stride in self.strides]
        sides = [(before, after + more) for (before, after), more in zip(self.sides, room, strict=True)]
        padded = ops.pad(x, ((0, 0), *sides, (0, 0)), constant_values=around)
        pooled = pool(padded, self.pool_size, self.strides, "valid", "channels_last")
        shape: Any = ops.shape(x)
        rows, columns = (-(-(shape[1 + axis] + self.sides[axis][0]) // self.strides[axis]) for axis in (0, 1))
        return pooled[:, :rows, :columns]

    def compute_output_shape(self, input_shape: Any) -> Any:
        """(n, h', w', c); a size that is not known stays so."""
        count, *sizes, channels = input_shape
        return count, *(self._positions(size, axis) for axis, size in enumerate(sizes)), channels

    def _positions(self, size: int | None, axis: int) -> int | None:
        if size is None:
            return None
        (before, after), stride = self.sides[axis], self.strides[axis]
        room = size + before + after - self.pool_size[axis]
        count = (-(-room // stride) if self.rounding == "ceil" else room // stride) + 1
        return min(count, -(-(size + before) // stride))

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        own = {
            "pooling": self.pooling,
            "pool_size": self.pool_size,
            "strides": self.strides,
            "sides": self.sides,
            "rounding": self.rounding,
        }
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(PACKAGE)
class SampledConv2D(keras.layers.Conv2D):
    """A dilated convolution with a stride: Keras has one or the other, so positions are computed and left out."""

    def __init__(self, *args: Any, sampling: Pair, **options: Any) -> None:
        super().__init__(*args, **options)
        self.sampling: Pair = (sampling[0], sampling[1])

    def call(self, inputs: Any) -> Any:
        """(n, h, w, c) to (n, h', w', c')."""
        every: Any = super().call(inputs)
        return every[:, :: self.sampling[0], :: self.sampling[1]]

    def compute_output_shape(self, input_shape: Any) -> Any:
        """(n, h', w', c'); a size that is not known stays so."""
        count, *sizes, channels = super().compute_output_shape(input_shape)
        kept = (size and -(-size // step) for size, step in zip(sizes, self.sampling, strict=True))
        return count, *kept, channels

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {**super().get_config(), "sampling": self.sampling}
