"""One network as a table: every layer with its shape, weights, costs and receptive field, and the totals."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from verydeep.report.borders import borders
from verydeep.report.grid import Align, markdown, markdown_text, one_line, plain
from verydeep.report.memory import activation_bytes, inference_bytes, training_bytes
from verydeep.report.words import bytes_text, layer_text, length, length_text, plural, sizes
from verydeep.spec import Conv, Layer, Linear, Network, Pair, Parallel, Shape, walk

FLOPS_PER_MAC = 2  # a multiplication and an addition


@dataclass(frozen=True, slots=True)
class Row:
    """One layer; lengths in pixels of the input, (vertical, horizontal) where the two differ."""

    block: str
    name: str
    kind: str  # the name of the layer's class
    shape: Shape  # of the output: (channels, height, width), or (features,)
    params: int  # learned numbers; the running statistics of batch norm are not
    macs: int  # multiply-accumulate operations of one image, convolutions and linear layers only
    flops: int
    activation_bytes: int  # of the output, float32, one image
    receptive_field: int | Pair
    step: int | Pair  # between the windows of two neighbours


@dataclass(frozen=True, slots=True)
class Summary:
    """The totals of a network, for one image."""

    params: int  # the sum of the three below
    params_conv: int
    params_fc: int
    params_other: int  # batch norm
    macs: int
    flops: int
    training_bytes: int  # activations kept for the backward pass, see `memory.training_bytes`
    inference_bytes: int  # the most that must be alive at once, see `memory.inference_bytes`
    depth: int  # convolutions and linear layers on the longest way from the image to the output


def table(network: Network) -> tuple[Row, ...]:
    """Every layer of the network in the order of computation; a `Parallel` follows the layers of its paths."""
    rows: list[Row] = []
    for step in walk(network):
        macs = step.layer.macs(step.before)
        weights = step.layer.weights(step.before)
        rows.append(
            Row(
                block=step.block,
                name=step.layer.name,
                kind=type(step.layer).__name__,
                shape=step.after.shape,
                params=sum(math.prod(weight.shape) for weight in weights if weight.learned),
                macs=macs,
                flops=FLOPS_PER_MAC * macs,
                activation_bytes=activation_bytes(step.after.shape),
                receptive_field=length(step.after.receptive_field),
                step=length(step.after.step),
            )
        )
    return tuple(rows)


def summary(network: Network) -> Summary:
    """The totals of the table, the memory of the activations, and the depth."""
    rows = table(network)
    params = sum(row.params for row in rows)
    params_conv = sum(row.params for row in rows if row.kind == Conv.__name__)
    params_fc = sum(row.params for row in rows if row.kind == Linear.__name__)
    macs = sum(row.macs for row in rows)
    return Summary(
        params=params,
        params_conv=params_conv,
        params_fc=params_fc,
        params_other=params - params_conv - params_fc,
        macs=macs,
        flops=FLOPS_PER_MAC * macs,
        training_bytes=training_bytes(network),
        inference_bytes=inference_bytes(network),
        depth=sum(_depth(block.layers) for block in network.blocks),
    )


def to_json(network: Network) -> dict[str, Any]:
    """The table and the totals as JSON values; a length is a number, or a list of two where the directions differ."""
    return {
        "name": network.name,
        "input": list(network.input),
        "source": network.source,
        "notes": list(network.notes),
        "borders": list(borders(network)),
        **asdict(summary(network)),
        "layers": [_json_row(row) for row in table(network)],
    }


def to_text(network: Network) -> str:
    """The table for a terminal, with the totals and the conventions below it."""
    head = [network.name, *([network.source] if network.source else []), f"input {sizes(network.input)}"]
    body = plain(_HEADER, _cells(network, indent="  "), align=_ALIGN)
    return "\n".join([*map(one_line, head), "", body, "", *map(one_line, _footer(network))]) + "\n"


def to_markdown(network: Network) -> str:
    """The table in Markdown, with the totals and the conventions below it."""
    source = f" ({markdown_text(network.source)})" if network.source else ""
    head = f"**{markdown_text(network.name)}**{source}, input {sizes(network.input)}"
    body = markdown(_HEADER, _cells(network, indent="&nbsp;&nbsp;"), align=_ALIGN)
    footer = "\n".join(f"- {markdown_text(line)}" for line in _footer(network))
    return f"{head}\n\n{body}\n\n{footer}\n"


_HEADER = ("block", "layer", "kind", "output", "parameters", "MACs", "bytes", "sees", "step")
_PAIRS = ("receptive_field", "step")  # may hold two numbers
_ALIGN: Sequence[Align] = ("left", "left", "left", "right", "right", "right", "right", "right", "right")


def _cells(network: Network, *, indent: str) -> list[tuple[str, ...]]:
    levels = {name: level for block in network.blocks for name, level in _levels(block.layers, 0)}
    cells: list[tuple[str, ...]] = []
    block = ""
    for row, step in zip(table(network), walk(network), strict=True):
        cells.append(
            (
                row.block if row.block != block else "",
                indent * levels[row.name] + row.name,
                layer_text(step.layer),
                sizes(row.shape),
                f"{row.params:,}" if row.params else "",
                f"{row.macs:,}" if row.macs else "",
                f"{row.activation_bytes:,}",
                length_text(row.receptive_field),
                length_text(row.step),
            )
        )
        block = row.block
    return cells


def _footer(network: Network) -> list[str]:
    totals = summary(network)
    batch_norm = f", {totals.params_other:,} in batch norm" if totals.params_other else ""
    return [
        f"{totals.params:,} parameters: {totals.params_conv:,} in convolutions, "
        f"{totals.params_fc:,} in fully connected layers{batch_norm}",
        f"{totals.macs:,} MACs = {totals.flops:,} FLOPs for one image; a MAC is a multiplication and an addition, "
        "counted in convolutions and fully connected layers only",
        f"{bytes_text(totals.training_bytes)} of activations kept for training, "
        f"{bytes_text(totals.inference_bytes)} alive at once at inference (float32, one image)",
        f"{plural(totals.depth, 'weight layer')} deep; sees = receptive field and step = its stride, "
        "in pixels of the input",
        *(f"note: {line}" for line in (*network.notes, *borders(network))),
    ]


def _levels(layers: tuple[Layer, ...], level: int) -> list[tuple[str, int]]:
    """Every layer's name and how many `Parallel`s are around it."""
    found: list[tuple[str, int]] = []
    for layer in layers:
        if isinstance(layer, Parallel):
            for path in layer.paths:
                found.extend(_levels(path, level + 1))
        found.append((layer.name, level))
    return found


def _depth(layers: tuple[Layer, ...]) -> int:
    depth = 0
    for layer in layers:
        if isinstance(layer, Parallel):
            depth += max(map(_depth, layer.paths))
        elif isinstance(layer, Conv | Linear):
            depth += 1
    return depth


def _json_row(row: Row) -> dict[str, Any]:
    record = asdict(row)
    return record | {key: list(record[key]) for key in ("shape", *_PAIRS) if isinstance(record[key], tuple)}
