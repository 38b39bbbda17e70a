"""The classes that generated PyTorch source carries with it where PyTorch has no such layer."""

HELPERS = {
    "Concat": '''
class Concat(nn.Module):
    """Paths that read the same map; their channels are put one after another."""

    def __init__(self, **paths: nn.Module) -> None:
        super().__init__()
        for name, path in paths.items():
            self.add_module(name, path)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([path(x) for path in self.children()], dim=1)
''',
    "Add": '''
class Add(nn.Module):
    """Paths that read the same map; their outputs are added. An empty path is the identity."""

    def __init__(self, **paths: nn.Module) -> None:
        super().__init__()
        for name, path in paths.items():
            self.add_module(name, path)

    def forward(self, x: Tensor) -> Tensor:
        first, *others = (path(x) for path in self.children())
        for other in others:
            first = first + other
        return first
''',
    "GlobalAverage": '''
class GlobalAverage(nn.Module):
    """The mean of each whole map: (n, c, h, w) to (n, c, 1, 1)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3), keepdim=True)
''',
    "GlobalMax": '''
class GlobalMax(nn.Module):
    """The maximum of each whole map: (n, c, h, w) to (n, c, 1, 1)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.amax((2, 3), keepdim=True)
''',
    "PadChannels": '''
class PadChannels(nn.Module):
    """Channels of zeros before and after the map's own."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.before, self.after = before, after

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x, (0, 0, 0, 0, self.before, self.after))
''',
    "UnevenConv2d": '''
class UnevenConv2d(nn.Conv2d):
    """A convolution with a padding of its own on every side, (left, right, top, bottom)."""

    def __init__(self, channels_in: int, channels: int, *, sides: tuple[int, int, int, int], **options) -> None:
        super().__init__(channels_in, channels, **options)
        self.sides = sides

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.pad(x, self.sides))
''',
    "UnevenMaxPool2d": '''
class UnevenMaxPool2d(nn.MaxPool2d):
    """A max-pool with a padding of its own on every side, (left, right, top, bottom)."""

    def __init__(self, *, sides: tuple[int, int, int, int], **options) -> None:
        super().__init__(**options)
        self.sides = sides

    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(F.pad(x, self.sides, value=-torch.inf))
        return begin_inside(y, x, self.sides, self.stride)
''',
    "UnevenAvgPool2d": '''
class UnevenAvgPool2d(nn.AvgPool2d):
    """An average-pool with a padding of its own on every side, (left, right, top, bottom), that does not count."""

    def __init__(self, *, sides: tuple[int, int, int, int], **options) -> None:
        super().__init__(**options)
        self.sides = sides

    def forward(self, x: Tensor) -> Tensor:
        share = super().forward(F.pad(torch.ones_like(x), self.sides))  # of each window that is not padding
        y = super().forward(F.pad(x, self.sides))
        return begin_inside(y, x, self.sides, self.stride) / begin_inside(share, x, self.sides, self.stride)
''',
    "begin_inside": '''
def begin_inside(y: Tensor, x: Tensor, sides: tuple[int, int, int, int], stride: tuple[int, int]) -> Tensor:
    """The pooled map `y` without the windows that begin beyond the map `x`."""
    left, _, top, _ = sides
    rows = -(-(x.shape[2] + top) // stride[0])
    columns = -(-(x.shape[3] + left) // stride[1])
    return y[:, :, :rows, :columns]
''',
    "stack": '''
def stack(**layers: nn.Module) -> nn.Sequential:
    """Layers one after another, by name."""
    return nn.Sequential(OrderedDict(layers))
''',
}
