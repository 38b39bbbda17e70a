"""Networks as columns in the form of the paper's Tables 1 and 2 (arXiv:1409.1556): what the README shows."""

from collections.abc import Sequence
from itertools import zip_longest
from typing import assert_never

from verydeep.families.catalog import PAPER_NAMES
from verydeep.report.grid import Align, markdown
from verydeep.report.table import summary
from verydeep.report.words import SPACED, plural, sizes
from verydeep.spec import (
    LRN,
    BatchNorm,
    Block,
    Conv,
    Dropout,
    Flatten,
    Layer,
    Linear,
    Network,
    PadChannels,
    Parallel,
    Pool,
    ReLU,
    Tanh,
)


def table_1(networks: Sequence[Network]) -> str:
    """Table 1 in Markdown, and the parameters in millions (Table 2) as its last row.

    A column is headed by the paper's letter where the network has one. What a column adds to the one on its left is
    bold. As in the paper, ReLU is not shown; neither is dropout, nor a softmax, which the networks do not hold.
    """
    columns = {usual: paper for paper, usual in PAPER_NAMES.items()}
    header = [columns.get(network.name, network.name) for network in networks]
    totals = [summary(network) for network in networks]
    rows: list[list[str]] = [
        [plural(total.depth, "weight layer") for total in totals],
        [f"input {sizes(network.input, SPACED)}" for network in networks],
        *_layer_rows(networks),
        [f"{total.params / 1e6:.0f} million parameters" for total in totals],
    ]
    align: list[Align] = ["left"] * len(header)
    return markdown(header, rows, align=align) + "\n"


def _layer_rows(networks: Sequence[Network]) -> list[list[str]]:
    rows: list[list[str]] = []
    for blocks in zip_longest(*(network.blocks for network in networks)):
        stacks = [_entries(block.layers) if block else [] for block in blocks]
        pools = [
            stack.pop() if block and _ends_in_pool(block) else "" for block, stack in zip(blocks, stacks, strict=True)
        ]
        rows.extend(_bold_news(list(row)) for row in zip_longest(*stacks, fillvalue=""))
        if any(pools):
            rows.append(pools)
    return rows


def _ends_in_pool(block: Block) -> bool:
    return isinstance(block.layers[-1], Pool)


def _bold_news(row: list[str]) -> list[str]:
    pairs = zip(row[:1] + row[:-1], row, strict=True)
    return [f"**{cell}**" if cell and cell != left else cell for left, cell in pairs]


def _entries(layers: tuple[Layer, ...]) -> list[str]:
    return [entry for layer in layers for entry in _entry(layer)]


def _entry(layer: Layer) -> list[str]:
    """A layer in the words of Table 1, or nothing where the table does not show it."""
    match layer:
        case Conv():
            window = str(layer.kernel[0]) if layer.kernel[0] == layer.kernel[1] else sizes(layer.kernel)
            return [f"conv{window}-{layer.channels}"]
        case Pool():
            return ["maxpool" if layer.pooling == "max" else "average pool"]
        case Linear():
            return [f"FC-{layer.features}"]
        case LRN():
            return ["LRN"]
        case Parallel():
            return [f"{len(layer.paths)} paths, {layer.join}"]
        case BatchNorm() | ReLU() | Tanh() | Dropout() | Flatten() | PadChannels():
            return []
        case _:
            assert_never(layer)
