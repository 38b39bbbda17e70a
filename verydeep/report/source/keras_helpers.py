"""The layers that generated Keras source carries with it where Keras has none that means the same."""

HELPERS = {
    "LocalResponseNormalization": '''
@keras.saving.register_keras_serializable()
class LocalResponseNormalization(layers.Layer):
    """Each number by its neighbours in other channels; alpha is not divided by the size of the window."""

    def __init__(self, size: int, alpha: float, beta: float, k: float, **options) -> None:
        super().__init__(**options)
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def call(self, x):
        side, channels = self.size // 2, x.shape[-1]
        squares = ops.pad(ops.square(x), ((0, 0), (0, 0), (0, 0), (side, side)))
        near = sum(squares[..., first : first + channels] for first in range(self.size))
        return x / (self.k + self.alpha * near) ** self.beta
''',
    "PaddedMaxPooling2D": '''
@keras.saving.register_keras_serializable()
class PaddedMaxPooling2D(layers.Layer):
    """A max-pool with a padding of its own on every side, ((top, bottom), (left, right)), that is never the maximum."""

    def __init__(self, pool_size, strides, sides, ceil=False, **options) -> None:
        super().__init__(**options)
        self.pool_size, self.strides, self.sides, self.ceil = pool_size, strides, sides, ceil

    def call(self, x):
        padded = ops.pad(x, padding(self), constant_values=float("-inf"))
        return begin_inside(ops.max_pool(padded, self.pool_size, self.strides), x, self)
''',
    "PaddedAveragePooling2D": '''
@keras.saving.register_keras_serializable()
class PaddedAveragePooling2D(layers.Layer):
    """An average-pool with a padding of its own on every side, ((top, bottom), (left, right)), that does not count."""

    def __init__(self, pool_size, strides, sides, ceil=False, **options) -> None:
        super().__init__(**options)
        self.pool_size, self.strides, self.sides, self.ceil = pool_size, strides, sides, ceil

    def call(self, x):
        means, shares = (  # shares: how much of each window is not padding
            begin_inside(ops.average_pool(ops.pad(y, padding(self)), self.pool_size, self.strides), x, self)
            for y in (x, ops.ones_like(x))
        )
        return means / shares
''',
    "padding": '''
def padding(pool) -> tuple:
    """The padding of a map (n, h, w, c), with room for a window beyond it where the pool rounds up."""
    more = [stride - 1 if pool.ceil else 0 for stride in pool.strides]
    (top, bottom), (left, right) = pool.sides
    return (0, 0), (top, bottom + more[0]), (left, right + more[1]), (0, 0)
''',
    "begin_inside": '''
def begin_inside(y, x, pool):
    """The pooled map `y` without the windows that begin beyond the map `x`."""
    shape, ((top, _), (left, _)) = ops.shape(x), pool.sides
    rows = -(-(shape[1] + top) // pool.strides[0])
    columns = -(-(shape[2] + left) // pool.strides[1])
    return y[:, :rows, :columns]
''',
    "SampledConv2D": '''
@keras.saving.register_keras_serializable()
class SampledConv2D(layers.Conv2D):
    """A dilated convolution with strides, of which Keras has one or the other: positions are left out afterwards."""

    def __init__(self, *args, sampling: tuple, **options) -> None:
        super().__init__(*args, **options)
        self.sampling = sampling

    def call(self, x):
        down, right = self.sampling
        return super().call(x)[:, ::down, ::right]

    def compute_output_shape(self, input_shape) -> tuple:
        n, height, width, channels = super().compute_output_shape(input_shape)
        down, right = self.sampling
        return n, height and -(-height // down), width and -(-width // right), channels

    def get_config(self) -> dict:
        return {**super().get_config(), "sampling": self.sampling}
''',
}
