"""The classes and functions that generated Flax source carries with it where Flax has no such layer."""

HELPERS = {
    "Stack": '''
class Stack(nnx.Module):
    """Layers one after another, by name. JAX sorts attributes, so their order is kept beside them."""

    def __init__(self, **layers: nnx.Module) -> None:
        self._order = tuple(layers)
        for name, layer in layers.items():
            setattr(self, name, layer)

    def __call__(self, x: jax.Array) -> jax.Array:
        for name in self._order:
            x = getattr(self, name)(x)
        return x
''',
    "Concat": '''
class Concat(Stack):
    """Paths that read the same map; their channels are put one after another."""

    def __call__(self, x: jax.Array) -> jax.Array:
        return jnp.concatenate([getattr(self, name)(x) for name in self._order], axis=-1)
''',
    "Add": '''
class Add(Stack):
    """Paths that read the same map; their outputs are added. An empty path is the identity."""

    def __call__(self, x: jax.Array) -> jax.Array:
        first, *others = (getattr(self, name)(x) for name in self._order)
        for other in others:
            first = first + other
        return first
''',
    "Apply": '''
class Apply(nnx.Module):
    """A function as a layer."""

    def __init__(self, function: Callable[..., jax.Array], **options) -> None:
        self.function = partial(function, **options)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.function(x)
''',
    "BatchNorm": '''
class BatchNorm(nnx.BatchNorm):
    """Batch norm as in PyTorch: momentum is the share of the new batch, the running variance is unbiased."""

    def __init__(self, channels: int, *, epsilon: float = 1e-5, momentum: float = 0.1, rngs: nnx.Rngs) -> None:
        super().__init__(channels, epsilon=epsilon, momentum=1 - momentum, use_fast_variance=False, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        before, count = self.var[...], x.size // x.shape[-1]
        y = super().__call__(x)
        if not self.use_running_average:  # Flax has divided by count, not by count - 1
            self.var[...] += (self.var[...] - self.momentum * before) / (count - 1)
        return y
''',
    "local_response_norm": '''
def local_response_norm(x: jax.Array, size: int, alpha: float, beta: float, k: float) -> jax.Array:
    """Normalisation over neighbouring channels; alpha is not divided by the size."""
    sides = ((0, 0), (0, 0), (0, 0), (size // 2, size // 2))
    near = jax.lax.reduce_window(x * x, 0.0, jax.lax.add, (1, 1, 1, size), (1, 1, 1, 1), sides)
    return x / (k + alpha * near) ** beta
''',
    "flatten": '''
def flatten(x: jax.Array) -> jax.Array:
    """A map as one vector, channel by channel: the weights after it are then those of PyTorch."""
    return x.transpose(0, 3, 1, 2).reshape(len(x), -1)
''',
    "max_pool_ceil": '''
def max_pool_ceil(x: jax.Array, window_shape: Pair, strides: Pair = (1, 1), padding: Sides = NONE) -> jax.Array:
    """A max-pool whose last window may reach beyond the map."""
    return nnx.max_pool(x, window_shape, strides, ceil_padding(x, window_shape, strides, padding))
''',
    "avg_pool_ceil": '''
def avg_pool_ceil(x: jax.Array, window_shape: Pair, strides: Pair = (1, 1), padding: Sides = NONE) -> jax.Array:
    """An average-pool whose last window may reach beyond the map; what is beyond does not count."""
    sides = ceil_padding(x, window_shape, strides, padding)
    return nnx.avg_pool(x, window_shape, strides, sides, count_include_pad=False)
''',
    "ceil_padding": '''
def ceil_padding(x: jax.Array, window_shape: Pair, strides: Pair, padding: Sides) -> list[Pair]:
    """The padding, grown after the map until a last window that begins inside the map fits."""
    sides = []
    for size, window, stride, (before, after) in zip(x.shape[1:3], window_shape, strides, padding, strict=True):
        missing = -(size + before + after - window) % stride
        begins = size + before + after + missing - window
        sides.append((before, after + missing if begins < size + before else after))
    return sides
''',
}
