"""The functions and blocks that generated Gluon source carries with it where Gluon has no such layer."""

HELPERS = {
    "Sum": '''
class Sum(nn.HybridSequential):
    """Paths that read the same map; their outputs are added. An empty path is the identity."""

    def hybrid_forward(self, F, x):
        total, *others = (path(x) for path in self._children.values())
        for other in others:
            total = total + other
        return total
''',
    "LRN": '''
class LRN(nn.HybridBlock):
    """Local response normalisation; MXNet divides alpha by the size of the window, the published formula does not."""

    def __init__(self, size, alpha, beta, k):
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def hybrid_forward(self, F, x):
        return F.LRN(x, nsize=self.size, alpha=self.size * self.alpha, beta=self.beta, knorm=self.k)
''',
    "PadChannels": '''
class PadChannels(nn.HybridBlock):
    """Channels of zeros before and after the map's own."""

    def __init__(self, before, after):
        super().__init__()
        self.before, self.after = before, after

    def hybrid_forward(self, F, x):
        zero = F.zeros_like(F.slice_axis(x, axis=1, begin=0, end=1))
        return F.concat(*[zero] * self.before, x, *[zero] * self.after, dim=1)
''',
    "UnevenConv2D": '''
class UnevenConv2D(nn.Conv2D):
    """A convolution with a padding of its own on every side, (top, bottom, left, right)."""

    def __init__(self, channels, *, sides, **options):
        super().__init__(channels, **options)
        self.sides = sides

    def hybrid_forward(self, F, x, weight, bias=None):
        return super().hybrid_forward(F, pad(F, x, self.sides, 0), weight, bias)
''',
    "UnevenMaxPool2D": '''
class UnevenMaxPool2D(nn.HybridBlock):
    """A max-pool with a padding of its own on every side, (top, bottom, left, right)."""

    def __init__(self, **options):
        super().__init__()
        self.options = options

    def hybrid_forward(self, F, x):
        return slide(F, x, "max", float("-inf"), **self.options)
''',
    "UnevenAvgPool2D": '''
class UnevenAvgPool2D(nn.HybridBlock):
    """An average-pool with a padding of its own on every side, (top, bottom, left, right), that does not count."""

    def __init__(self, **options):
        super().__init__()
        self.options = options

    def hybrid_forward(self, F, x):
        inside = slide(F, F.ones_like(x), "sum", 0, **self.options)  # positions of each window that are not padding
        return slide(F, x, "sum", 0, **self.options) / inside
''',
    "slide": '''
def slide(F, x, pool_type, outside, *, sides, pool_size, strides, ceil_mode=False):
    """Pool the map `x`, padded with the number `outside`; windows that begin beyond the map are left out."""
    top, bottom, left, right = sides
    options = {"pool_type": pool_type, "pooling_convention": "full" if ceil_mode else "valid"}
    y = F.Pooling(pad(F, x, sides, outside), kernel=pool_size, stride=strides, **options)
    after = (bottom, right)
    beyond = tuple(2 + i for i in (0, 1) if ceil_mode and strides[i] + after[i] > pool_size[i])
    if not beyond:
        return y
    before = pad(F, x, (top, 0, left, 0), 0)
    begins = F.slice(before, begin=(0, 0, 0, 0), end=(1, 1, None, None), step=(1, 1, *strides))
    return F.slice_like(y, begins, axes=beyond)
''',
    "pad": '''
def pad(F, x, sides, value):
    """The map `x` with a border of `value`."""
    return F.pad(x, mode="constant", pad_width=(0, 0, 0, 0, *sides), constant_value=value)
''',
    "add_paths": '''
def add_paths(**paths):
    """Paths that read the same map; their outputs are added."""
    return named(Sum(prefix=""), paths)
''',
    "concat_paths": '''
def concat_paths(**paths):
    """Paths that read the same map; their channels are put one after another."""
    return named(HybridConcurrent(axis=1, prefix=""), paths)
''',
    "stack": '''
def stack(**layers):
    """Layers one after another, by name."""
    return named(nn.HybridSequential(prefix=""), layers)
''',
    "named": '''
def named(block, children):
    """`block` with these children."""
    for name, child in children.items():
        setattr(block, name, child)
    return block
''',
}
