"""A VGG for little time: each block halves its map after its first convolution (as in Jordan, arXiv:2404.00498)."""

from collections.abc import Iterator

from verydeep.families.width import scaled
from verydeep.spec import BatchNorm, Block, Flatten, Layer, Linear, Network, ReLU, Shape, conv, pool

CONVOLUTIONS = (1, 2, 2)  # of the blocks
CHANNELS = (16, 32, 64)
WIDE = (16, 64, 128)  # the first block reads nine pixels: more of its maps, the largest, cost much and say little


def vgg_early(
    *,
    input: Shape = (1, 28, 28),
    classes: int = 10,
    width: float = 1.0,
    channels: tuple[int, int, int] = CHANNELS,
    name: str = "vgg_early",
) -> Network:
    """Three blocks of 1, 2 and 2 convolutions with `channels`, and a linear layer; chosen on held-out Fashion-MNIST.

    Where VGG convolves, normalises, rectifies and then halves the map, this network halves it first: what the pool
    would throw away, three quarters, is never normalised, and a block's second convolution is four times cheaper.
    Batch norm has the bias, so the convolutions have none.
    """
    height, breadth = input[-2:]
    blocks: list[Block] = []
    for number, (convolutions, maps) in enumerate(zip(CONVOLUTIONS, channels, strict=True), start=1):
        halved = min(height, breadth) >= 2
        blocks.append(Block(f"block{number}", tuple(_layers(number, convolutions, scaled(maps, width), halved=halved))))
        if halved:
            height, breadth = height // 2, breadth // 2
    head = Block("head", (Flatten("flatten"), Linear("fc4", classes)))
    return Network(name, input, (*blocks, head), source="verydeep, after Jordan, arXiv:2404.00498")


def _layers(number: int, convolutions: int, channels: int, *, halved: bool) -> Iterator[Layer]:
    for index in range(1, convolutions + 1):
        yield conv(f"conv{number}_{index}", channels, padding=1, bias=False)
        if index == 1 and halved:
            yield pool(f"pool{number}", kernel=2, stride=2)
        yield BatchNorm(f"bn{number}_{index}")
        yield ReLU(f"relu{number}_{index}")
