"""Residual networks for ImageNet and for CIFAR (He, Zhang, Ren & Sun, arXiv:1512.03385)."""

from verydeep.errors import SpecError
from verydeep.families.width import scaled
from verydeep.spec import (
    BatchNorm,
    Block,
    Flatten,
    Layer,
    Linear,
    Network,
    PadChannels,
    ReLU,
    Shape,
    conv,
    pool,
    residual,
)

SOURCE = "He, Zhang, Ren & Sun, arXiv:1512.03385"

UNITS = {  # residual units in each of the four stages (Table 1)
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}
STAGE_CHANNELS = (64, 128, 256, 512)
EXPANSION = 4  # a bottleneck's output has four times the channels of its 3x3 convolution


def resnet(depth: int, *, input: Shape = (3, 224, 224), classes: int = 1000, width: float = 1.0) -> Network:
    """ResNet-18, 34, 50, 101 or 152; bottlenecks stride in their 3x3 convolution, as torchvision's do.

    The paper strides in the first 1x1: the costs are those of the common "v1.5" (ResNet-50: 25,557,032 parameters,
    4.089 GMAC).
    """
    if depth not in UNITS:
        raise SpecError(f"there is no ResNet-{depth}", hint=f"Choose from {', '.join(map(str, UNITS))}.")
    stem = Block(
        "conv1",
        (
            *_conv_bn("1", scaled(64, width), kernel=7, stride=2, padding=3),
            ReLU("relu1"),
            pool("pool1", kernel=3, stride=2, padding=1),
        ),
    )
    blocks, channels_in = (stem,), scaled(64, width)
    for stage, (units, base) in enumerate(zip(UNITS[depth], STAGE_CHANNELS, strict=True), start=2):
        channels = scaled(base, width)
        channels_out = channels * EXPANSION if depth >= 50 else channels
        for unit in range(1, units + 1):
            name, stride = f"{stage}_{unit}", 2 if unit == 1 and stage > 2 else 1
            body = _bottleneck(name, channels, stride) if depth >= 50 else _basic(name, channels, stride)
            changes = stride > 1 or channels_in != channels_out
            shortcut = _conv_bn(f"{name}s", channels_out, kernel=1, stride=stride) if changes else ()
            blocks = (*blocks, _unit(name, body, shortcut))
            channels_in = channels_out
    return Network(f"resnet{depth}", input, (*blocks, _head(classes)), source=SOURCE)


def resnet_cifar(depth: int, *, input: Shape = (3, 32, 32), classes: int = 10, width: float = 1.0) -> Network:
    """ResNet-20, 32, 44, 56 or 110 of section 4.2: 6n+2 layers, 16-32-64 channels, shortcuts without parameters."""
    if depth < 8 or (depth - 2) % 6:
        raise SpecError(f"a CIFAR ResNet has 6n+2 layers, not {depth}", hint="Choose from 20, 32, 44, 56, 110.")
    stem = Block("conv1", (*_conv_bn("1", scaled(16, width), kernel=3, padding=1), ReLU("relu1")))
    blocks, channels_in = (stem,), scaled(16, width)
    for stage, base in enumerate((16, 32, 64), start=2):
        channels = scaled(base, width)
        for unit in range(1, (depth - 2) // 6 + 1):
            name, stride = f"{stage}_{unit}", 2 if unit == 1 and stage > 2 else 1
            shortcut = _padded_shortcut(name, channels_in, channels) if stride > 1 else ()
            blocks = (*blocks, _unit(name, _basic(name, channels, stride), shortcut))
            channels_in = channels
    return Network(f"resnet{depth}_cifar", input, (*blocks, _head(classes)), source=SOURCE)


def _unit(name: str, body: tuple[Layer, ...], shortcut: tuple[Layer, ...]) -> Block:
    return Block(f"unit{name}", (residual(f"add{name}", body, shortcut=shortcut), ReLU(f"relu{name}")))


def _basic(name: str, channels: int, stride: int) -> tuple[Layer, ...]:
    return (
        *(*_conv_bn(f"{name}a", channels, kernel=3, stride=stride, padding=1), ReLU(f"relu{name}a")),
        *_conv_bn(f"{name}b", channels, kernel=3, padding=1),
    )


def _bottleneck(name: str, channels: int, stride: int) -> tuple[Layer, ...]:
    return (
        *(*_conv_bn(f"{name}a", channels, kernel=1), ReLU(f"relu{name}a")),
        *(*_conv_bn(f"{name}b", channels, kernel=3, stride=stride, padding=1), ReLU(f"relu{name}b")),
        *_conv_bn(f"{name}c", channels * EXPANSION, kernel=1),
    )


def _padded_shortcut(name: str, channels_in: int, channels: int) -> tuple[Layer, ...]:
    """Option A: every second pixel, and zeros for the new channels on both sides."""
    new = channels - channels_in
    return (
        pool(f"pool{name}s", "average", kernel=1, stride=2),
        PadChannels(f"pad{name}s", before=new // 2, after=new - new // 2),
    )


def _conv_bn(name: str, channels: int, *, kernel: int, stride: int = 1, padding: int = 0) -> tuple[Layer, ...]:
    convolution = conv(f"conv{name}", channels, kernel=kernel, stride=stride, padding=padding, bias=False)
    return (convolution, BatchNorm(f"bn{name}"))


def _head(classes: int) -> Block:
    return Block("head", (pool("mean", "average", kernel=None), Flatten("flatten"), Linear("fc", classes)))
