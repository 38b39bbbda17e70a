"""VGG: columns A to E of Table 1 and the shallow net of section 4.1 (Simonyan & Zisserman, arXiv:1409.1556)."""

from collections.abc import Iterator
from dataclasses import dataclass

from verydeep.errors import SpecError
from verydeep.families.width import scaled
from verydeep.spec import LRN, BatchNorm, Block, Dropout, Flatten, Layer, Linear, Network, ReLU, Shape, conv, pool

SOURCE = "Simonyan & Zisserman, arXiv:1409.1556"

Arch = tuple[tuple[int, int], ...]  # (convolutions, channels) of each block, as every course writes it


@dataclass(frozen=True, slots=True)
class Column:
    """One column of Table 1: the kernels of each block's convolutions, and whether LRN follows the first one."""

    kernels: tuple[tuple[int, ...], ...]
    lrn: bool = False


CHANNELS = (64, 128, 256, 512, 512)  # of the five blocks, in every column
FC = (4096, 4096)  # features of fc6 and fc7
DROPOUT = 0.5  # after each of them (section 3.1)
FIRST_FC = len(CHANNELS) + 1  # fc6, in a column of fewer blocks too: what a layer is called does not depend on depth

COLUMNS = {
    "A": Column(((3,), (3,), (3, 3), (3, 3), (3, 3))),
    "A-LRN": Column(((3,), (3,), (3, 3), (3, 3), (3, 3)), lrn=True),
    "B": Column(((3, 3), (3, 3), (3, 3), (3, 3), (3, 3))),
    "C": Column(((3, 3), (3, 3), (3, 3, 1), (3, 3, 1), (3, 3, 1))),
    "D": Column(((3, 3), (3, 3), (3, 3, 3), (3, 3, 3), (3, 3, 3))),
    "E": Column(((3, 3), (3, 3), (3, 3, 3, 3), (3, 3, 3, 3), (3, 3, 3, 3))),
    "shallow": Column(((5,), (5,), (5,), (5,), (5,))),  # section 4.1: B with every pair of 3x3 as one 5x5
}


def vgg_block(number: int, num_convs: int, channels: int) -> Block:
    """`num_convs` 3x3 convolutions that keep the size, then a 2x2 max-pool that halves it."""
    return Block(f"block{number}", (*_convolutions(number, (3,) * num_convs, channels), _halve(number)))


def vgg(
    arch: Arch,
    *,
    input: Shape = (3, 224, 224),
    classes: int = 1000,
    width: float = 1.0,
    fc: tuple[int, ...] = FC,
    dropout: float = DROPOUT,
    batch_norm: bool = False,
    name: str = "vgg",
) -> Network:
    """A VGG of any depth from (convolutions, channels) of each block.

    Args:
        arch: For example ``((1, 64), (1, 128), (2, 256), (2, 512), (2, 512))``, column A.
        input: (channels, height, width) of the images, square or not. A pool that no longer fits is left out.
        classes: Outputs of the last layer.
        width: Factor on the channels of every convolution; the fully connected layers have `fc`.
        fc: Features of the hidden fully connected layers; () is a single linear layer.
        dropout: Rate after each hidden fully connected layer; 0 leaves the layers out.
        batch_norm: Conv, BatchNorm, ReLU instead of Conv, ReLU.
        name: The network's name.

    Raises:
        SpecError: a number out of range, or an input too small for the network.
    """
    stages: list[tuple[tuple[int, ...], int]] = []
    for number, (num_convs, channels) in enumerate(arch, start=1):
        if num_convs < 1:
            raise SpecError(f"block{number} of `arch` has {num_convs} convolutions; it needs at least one")
        stages.append(((3,) * num_convs, scaled(channels, width)))
    return _network(
        tuple(stages),
        input=input,
        classes=classes,
        fc=fc,
        dropout=dropout,
        batch_norm=batch_norm,
        lrn=False,
        first_fc=len(stages) + 1,
        name=name,
    )


def column(
    letter: str,
    *,
    input: Shape = (3, 224, 224),
    classes: int = 1000,
    width: float = 1.0,
    fc: tuple[int, ...] = FC,
    dropout: float = DROPOUT,
    batch_norm: bool = False,
    blocks: int = len(CHANNELS),
    name: str = "",
) -> Network:
    """A column of Table 1: "A", "A-LRN", "B", "C", "D", "E", or "shallow" of section 4.1; the rest as in `vgg`.

    `blocks`, the first so many of its five, makes it one for small images; its layers keep their names, fc6 too.
    """
    if not 1 <= blocks <= len(CHANNELS):
        raise SpecError(f"a column of Table 1 has {len(CHANNELS)} blocks; it cannot begin with {blocks} of them")
    record = COLUMNS[letter]
    stages = zip(record.kernels, (scaled(channels, width) for channels in CHANNELS), strict=True)
    return _network(
        tuple(stages)[:blocks],
        input=input,
        classes=classes,
        fc=fc,
        dropout=dropout,
        batch_norm=batch_norm,
        lrn=record.lrn,
        first_fc=FIRST_FC,
        name=name or f"vgg_{letter}",
    )


def _network(
    stages: tuple[tuple[tuple[int, ...], int], ...],
    *,
    input: Shape,
    classes: int,
    fc: tuple[int, ...],
    dropout: float,
    batch_norm: bool,
    lrn: bool,
    first_fc: int,
    name: str,
) -> Network:
    height, width = input[-2:]
    blocks: list[Block] = []
    left_out: list[str] = []
    for number, (kernels, channels) in enumerate(stages, start=1):
        layers = _convolutions(number, kernels, channels, batch_norm=batch_norm, lrn=lrn and number == 1)
        if min(height, width) >= 2:
            layers = (*layers, _halve(number))
            height, width = height // 2, width // 2
        else:
            left_out.append(f"pool{number} is left out: its 2x2 window does not fit the {height}x{width} map")
        blocks.append(Block(f"block{number}", layers))
    blocks.append(Block("head", tuple(_head(first_fc, fc, classes, dropout))))
    return Network(name, input, tuple(blocks), source=SOURCE, notes=tuple(left_out))


def _convolutions(
    number: int, kernels: tuple[int, ...], channels: int, *, batch_norm: bool = False, lrn: bool = False
) -> tuple[Layer, ...]:
    """Convolutions that keep the size, each followed by ReLU; LRN, where wanted, follows the first (Table 1, A-LRN)."""

    def layers() -> Iterator[Layer]:
        for index, kernel in enumerate(kernels, start=1):
            yield conv(f"conv{number}_{index}", channels, kernel=kernel, padding=kernel // 2)
            if batch_norm:
                yield BatchNorm(f"bn{number}_{index}")
            yield ReLU(f"relu{number}_{index}")
            if lrn and index == 1:
                yield LRN(f"norm{number}_{index}")

    return tuple(layers())


def _halve(number: int) -> Layer:
    return pool(f"pool{number}", kernel=2, stride=2)


def _head(number: int, fc: tuple[int, ...], classes: int, dropout: float) -> Iterator[Layer]:
    """The fully connected layers, numbered from `number` on: fc6, fc7, fc8."""
    yield Flatten("flatten")
    for features in fc:
        yield Linear(f"fc{number}", features)
        yield ReLU(f"relu{number}")
        if dropout:
            yield Dropout(f"drop{number}", dropout)
        number += 1
    yield Linear(f"fc{number}", classes)
