"""Network in Network (Lin, Chen & Yan, arXiv:1312.4400), in the two forms that the authors released."""

from verydeep.families.width import scaled
from verydeep.spec import Block, Dropout, Flatten, Layer, Network, ReLU, Shape, conv, pool

SOURCE = "Lin, Chen & Yan, arXiv:1312.4400"


def nin(*, input: Shape = (3, 32, 32), classes: int = 10, width: float = 1.0, dropout: float = 0.5) -> Network:
    """The CIFAR-10 network: three mlpconv stages and global average pooling; 966,986 parameters."""
    first = _mlpconv(1, (192, 160, 96), kernel=5, padding=2, width=width)
    second = _mlpconv(2, (192, 192, 192), kernel=5, padding=2, width=width)
    third = _mlpconv(3, (192, 192), kernel=3, padding=1, width=width)
    return Network(
        "nin",
        input,
        (
            Block("block1", (*first, pool("pool1", kernel=3, stride=2, rounding="ceil"), Dropout("drop1", dropout))),
            Block(
                "block2",
                (*second, pool("pool2", "average", kernel=3, stride=2, rounding="ceil"), Dropout("drop2", dropout)),
            ),
            Block("block3", (*third, *_classify("conv3_3", classes))),
        ),
        source=SOURCE,
    )


def nin_imagenet(
    *, input: Shape = (3, 224, 224), classes: int = 1000, width: float = 1.0, dropout: float = 0.5
) -> Network:
    """The ImageNet network of the Caffe model zoo, the form that courses teach; 7,595,176 parameters."""
    first = _mlpconv(1, (96, 96, 96), kernel=11, stride=4, width=width)
    second = _mlpconv(2, (256, 256, 256), kernel=5, padding=2, width=width)
    third = _mlpconv(3, (384, 384, 384), kernel=3, padding=1, width=width)
    fourth = _mlpconv(4, (1024, 1024), kernel=3, padding=1, width=width)
    return Network(
        "nin_imagenet",
        input,
        (
            Block("block1", (*first, pool("pool1", kernel=3, stride=2))),
            Block("block2", (*second, pool("pool2", kernel=3, stride=2))),
            Block("block3", (*third, pool("pool3", kernel=3, stride=2), Dropout("drop3", dropout))),
            Block("block4", (*fourth, *_classify("conv4_3", classes))),
        ),
        source=SOURCE,
    )


def _mlpconv(
    number: int, channels: tuple[int, ...], *, kernel: int, stride: int = 1, padding: int = 0, width: float
) -> tuple[Layer, ...]:
    """One convolution and then 1x1 convolutions: a small multilayer perceptron that slides over the map."""
    first, *rest = (scaled(count, width) for count in channels)
    layers: tuple[Layer, ...] = (
        conv(f"conv{number}_1", first, kernel=kernel, stride=stride, padding=padding),
        ReLU(f"relu{number}_1"),
    )
    for index, count in enumerate(rest, start=2):
        layers = (*layers, conv(f"conv{number}_{index}", count, kernel=1), ReLU(f"relu{number}_{index}"))
    return layers


def _classify(name: str, classes: int) -> tuple[Layer, ...]:
    """One map for each class and its mean: no fully connected layer."""
    relu = name.replace("conv", "relu")
    return (conv(name, classes, kernel=1), ReLU(relu), pool("mean", "average", kernel=None), Flatten("flatten"))
