"""Two small networks that courses train first on MNIST and CIFAR-10 (no paper of their own)."""

from verydeep.families.width import scaled
from verydeep.spec import BatchNorm, Block, Flatten, Layer, Linear, Network, ReLU, Shape, conv, pool


def mnist_cnn(*, input: Shape = (1, 28, 28), classes: int = 10, width: float = 1.0) -> Network:
    """Four unpadded 3x3 convolutions with batch norm (16-32-64-128), two pools, three fully connected layers."""

    def convolution(number: int, channels: int) -> tuple[Layer, ...]:
        return (
            conv(f"conv{number}", scaled(channels, width)),
            BatchNorm(f"bn{number}"),
            ReLU(f"relu{number}"),
        )

    return Network(
        "mnist_cnn",
        input,
        (
            Block("block1", (*convolution(1, 16), *convolution(2, 32), pool("pool2", kernel=2, stride=2))),
            Block("block2", (*convolution(3, 64), *convolution(4, 128), pool("pool4", kernel=2, stride=2))),
            Block(
                "head",
                (
                    Flatten("flatten"),
                    *(Linear("fc5", 1024), ReLU("relu5")),
                    *(Linear("fc6", 128), ReLU("relu6")),
                    Linear("fc7", classes),
                ),
            ),
        ),
        source="a common course network for MNIST",
    )


def simple_cnn(*, input: Shape = (3, 32, 32), classes: int = 10, width: float = 1.0) -> Network:
    """Three 3x3 convolutions (32-64-128), each with ReLU and a pool, then three fully connected layers."""

    def block(number: int, channels: int) -> Block:
        layers = (conv(f"conv{number}", scaled(channels, width), padding=1), ReLU(f"relu{number}"))
        return Block(f"block{number}", (*layers, pool(f"pool{number}", kernel=2, stride=2)))

    head = Block(
        "head",
        (
            Flatten("flatten"),
            *(Linear("fc4", 512), ReLU("relu4")),
            *(Linear("fc5", 64), ReLU("relu5")),
            Linear("fc6", classes),
        ),
    )
    return Network(
        "simple_cnn", input, (block(1, 32), block(2, 64), block(3, 128), head), source="a common course network"
    )
