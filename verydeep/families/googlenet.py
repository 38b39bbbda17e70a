"""GoogLeNet as published (Szegedy et al., arXiv:1409.4842) and with batch norm as torchvision has it.

The two auxiliary classifiers of training are not part of the description: at test time they are discarded.
"""

from dataclasses import dataclass

from verydeep.families.width import scaled
from verydeep.spec import (
    LRN,
    BatchNorm,
    Block,
    Dropout,
    Flatten,
    Layer,
    Linear,
    Network,
    Parallel,
    ReLU,
    Shape,
    branch,
    conv,
    pool,
)

SOURCE = "Szegedy et al., arXiv:1409.4842"


@dataclass(frozen=True, slots=True)
class Inception:
    """A row of Table 1: channels of the four paths, with those of the 1x1 reductions."""

    name: str
    conv1x1: int
    reduce3x3: int
    conv3x3: int
    reduce5x5: int
    conv5x5: int
    pool_proj: int


TABLE_1 = (
    Inception("3a", 64, 96, 128, 16, 32, 32),
    Inception("3b", 128, 128, 192, 32, 96, 64),
    Inception("4a", 192, 96, 208, 16, 48, 64),
    Inception("4b", 160, 112, 224, 24, 64, 64),
    Inception("4c", 128, 128, 256, 24, 64, 64),
    Inception("4d", 112, 144, 288, 32, 64, 64),
    Inception("4e", 256, 160, 320, 32, 128, 128),
    Inception("5a", 256, 160, 320, 32, 128, 128),
    Inception("5b", 384, 192, 384, 48, 128, 128),
)


def googlenet(
    *, input: Shape = (3, 224, 224), classes: int = 1000, width: float = 1.0, dropout: float = 0.4
) -> Network:
    """GoogLeNet as published, with LRN around the stem's second convolution; 6,998,552 parameters."""
    stem = (
        Block(
            "stem",
            (
                *_convolution("conv1", scaled(64, width), kernel=7, stride=2, padding=3),
                *(pool("pool1", kernel=3, stride=2, rounding="ceil"), LRN("norm1", k=1.0)),
                *_convolution("conv2_reduce", scaled(64, width)),
                *_convolution("conv2", scaled(192, width), kernel=3, padding=1),
                *(LRN("norm2", k=1.0), pool("pool2", kernel=3, stride=2, rounding="ceil")),
            ),
        ),
    )
    return _network("googlenet", input, stem, classes=classes, width=width, dropout=dropout, batch_norm=False)


def googlenet_bn(
    *, input: Shape = (3, 224, 224), classes: int = 1000, width: float = 1.0, dropout: float = 0.2
) -> Network:
    """GoogLeNet as torchvision has it: batch norm after every convolution, no LRN, and 3x3 where the paper has 5x5.

    6,624,904 parameters. torchvision's published weights expect its `transform_input`: mean and std of 0.5.
    """
    stem = (
        Block(
            "stem",
            (
                *_convolution("conv1", scaled(64, width), kernel=7, stride=2, padding=3, batch_norm=True),
                pool("pool1", kernel=3, stride=2, rounding="ceil"),
                *_convolution("conv2_reduce", scaled(64, width), batch_norm=True),
                *_convolution("conv2", scaled(192, width), kernel=3, padding=1, batch_norm=True),
                pool("pool2", kernel=3, stride=2, rounding="ceil"),
            ),
        ),
    )
    return _network("googlenet_bn", input, stem, classes=classes, width=width, dropout=dropout, batch_norm=True)


def _network(
    name: str,
    input: Shape,
    blocks: tuple[Block, ...],
    *,
    classes: int,
    width: float,
    dropout: float,
    batch_norm: bool,
) -> Network:
    for row in TABLE_1:
        layers: tuple[Layer, ...] = (_inception(row, width=width, batch_norm=batch_norm),)
        if row.name == "3b":
            layers = (*layers, pool("pool3", kernel=3, stride=2, rounding="ceil"))
        if row.name == "4e":
            # torchvision narrowed this window to 2x2; the paper's is 3x3.
            layers = (*layers, pool("pool4", kernel=2 if batch_norm else 3, stride=2, rounding="ceil"))
        blocks = (*blocks, Block(f"inception_{row.name}", layers))
    head = Block(
        "head",
        (
            pool("pool5", "average", kernel=None),
            Flatten("flatten"),
            Dropout("drop", dropout),
            Linear("fc", classes),
        ),
    )
    return Network(name, input, (*blocks, head), source=SOURCE)


def _inception(row: Inception, *, width: float, batch_norm: bool) -> Parallel:
    """Four views of one map side by side: 1x1, 3x3, 5x5 and a 3x3 max-pool, the last three through 1x1 reductions."""
    prefix = f"inception_{row.name}"
    large = 3 if batch_norm else 5  # torchvision's "5x5" path holds 3x3 convolutions

    def path(name: str, channels: int, *, kernel: int = 1) -> tuple[Layer, ...]:
        return _convolution(
            f"{prefix}_{name}", scaled(channels, width), kernel=kernel, padding=kernel // 2, batch_norm=batch_norm
        )

    return branch(
        prefix,
        path("1x1", row.conv1x1),
        (*path("3x3_reduce", row.reduce3x3), *path("3x3", row.conv3x3, kernel=3)),
        (*path("5x5_reduce", row.reduce5x5), *path("5x5", row.conv5x5, kernel=large)),
        (
            pool(f"{prefix}_pool", kernel=3, stride=1, padding=1, rounding="ceil"),
            *path("pool_proj", row.pool_proj),
        ),
    )


def _convolution(
    name: str, channels: int, *, kernel: int = 1, stride: int = 1, padding: int = 0, batch_norm: bool = False
) -> tuple[Layer, ...]:
    convolution = conv(name, channels, kernel=kernel, stride=stride, padding=padding, bias=not batch_norm)
    if not batch_norm:
        return (convolution, ReLU(f"relu_{name}"))
    return (convolution, BatchNorm(f"bn_{name}", epsilon=1e-3), ReLU(f"relu_{name}"))
