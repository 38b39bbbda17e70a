"""The plain stack that holds the record of CIFAR-10 (Jordan, arXiv:2404.00498), with ReLU in the place of GELU."""

from verydeep.families.width import scaled
from verydeep.spec import BatchNorm, Block, Flatten, Layer, Linear, Network, ReLU, Shape, conv, pool

SOURCE = "Jordan, arXiv:2404.00498, with ReLU"
MOMENTUM = 0.4  # of the running statistics; the paper writes 0.6, for the share that stays


def airbench94_relu(*, input: Shape = (3, 32, 32), classes: int = 10, width: float = 1.0) -> Network:
    """A 2x2 convolution that whitens, three groups conv-pool-conv (64-256-256), one 3x3 pool; 1,972,792 parameters."""
    patch = 2 * input[0] * 2 * 2  # every principal 2x2 patch and its negative
    first = Block("whiten", (conv("conv1", patch, kernel=2), ReLU("relu1")))
    groups = (_group(number, scaled(channels, width)) for number, channels in ((2, 64), (3, 256), (4, 256)))
    head = (pool("pool5", kernel=3, stride=3), Flatten("flatten"), Linear("fc5", classes, bias=False))
    return Network("airbench94_relu", input, (first, *groups, Block("head", head)), source=SOURCE)


def _group(number: int, channels: int) -> Block:
    """Two 3x3 convolutions, the map halved right after the first; the convolutions have no bias."""

    def convolution(name: str) -> Layer:
        return conv(f"conv{name}", channels, kernel=3, padding=1, bias=False)

    def norm(name: str) -> tuple[Layer, ...]:
        return (BatchNorm(f"bn{name}", momentum=MOMENTUM), ReLU(f"relu{name}"))

    one, two = f"{number}_1", f"{number}_2"
    return Block(
        f"group{number}",
        (convolution(one), pool(f"pool{number}", kernel=2, stride=2), *norm(one), convolution(two), *norm(two)),
    )
