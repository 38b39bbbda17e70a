"""Networks side by side: depth, weights, costs, receptive field and memory."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from verydeep.report.grid import Align, markdown, plain
from verydeep.report.table import FLOPS_PER_MAC, summary, table
from verydeep.report.words import bytes_text, length, length_text, sizes
from verydeep.spec import Flatten, Linear, Network, Pair, Pool, Shape, walk


@dataclass(frozen=True, slots=True)
class Entry:
    """What one network is compared by, for one image."""

    name: str
    input: Shape
    depth: int  # weight layers on the longest way
    params: int
    params_fc_share: float  # fraction of the weights that are in fully connected layers
    macs: int
    macs_fc_share: float
    flops: int
    receptive_field: int | Pair  # of one position of the last map, in pixels of the input
    training_bytes: int
    inference_bytes: int


def compare(networks: Sequence[Network]) -> tuple[Entry, ...]:
    """One entry for each network, in the order given."""
    return tuple(map(_entry, networks))


def to_json(networks: Sequence[Network]) -> dict[str, Any]:
    """The comparison as JSON values; shares are fractions."""
    entries = [asdict(entry) for entry in compare(networks)]
    for entry in entries:
        entry.update({key: list(entry[key]) for key in ("input", "receptive_field") if isinstance(entry[key], tuple)})
    return {"networks": entries}


def to_text(networks: Sequence[Network]) -> str:
    """The comparison for a terminal."""
    return f"{plain(_HEADER, _cells(networks), align=_ALIGN)}\n\n{_CONVENTIONS}\n"


def to_markdown(networks: Sequence[Network]) -> str:
    """The comparison in Markdown."""
    return f"{markdown(_HEADER, _cells(networks), align=_ALIGN)}\n\n{_CONVENTIONS}\n"


_HEADER = (
    "network",
    "input",
    "depth",
    "parameters",
    "in fc",
    "MACs",
    "in fc",
    "FLOPs",
    "sees",
    "training",
    "inference",
)
_ALIGN: Sequence[Align] = ["left" if column == "network" else "right" for column in _HEADER]
_CONVENTIONS = (
    "For one image. depth: weight layers on the longest way; in fc: the share of the fully connected layers;\n"
    f"FLOPs: {FLOPS_PER_MAC} for each MAC; sees: receptive field of the last map, in pixels of the input;\n"
    "training, inference: activations in float32, kept for the backward pass or alive at once."
)


def _cells(networks: Sequence[Network]) -> list[tuple[str, ...]]:
    return [
        (
            entry.name,
            sizes(entry.input),
            str(entry.depth),
            f"{entry.params:,}",
            f"{entry.params_fc_share:.1%}",
            f"{entry.macs:,}",
            f"{entry.macs_fc_share:.1%}",
            f"{entry.flops:,}",
            length_text(entry.receptive_field),
            bytes_text(entry.training_bytes),
            bytes_text(entry.inference_bytes),
        )
        for entry in compare(networks)
    ]


def _entry(network: Network) -> Entry:
    totals = summary(network)
    macs_fc = sum(row.macs for row in table(network) if row.kind == Linear.__name__)
    return Entry(
        name=network.name,
        input=network.input,
        depth=totals.depth,
        params=totals.params,
        params_fc_share=_share(totals.params_fc, totals.params),
        macs=totals.macs,
        macs_fc_share=_share(macs_fc, totals.macs),
        flops=totals.flops,
        receptive_field=length(_last_map(network)),
        training_bytes=totals.training_bytes,
        inference_bytes=totals.inference_bytes,
    )


def _last_map(network: Network) -> Pair:
    """The receptive field where the map ends: before a pool over the whole map or a Flatten, else at the output."""
    for step in walk(network):
        whole = isinstance(step.layer, Pool) and step.layer.kernel is None
        if whole or isinstance(step.layer, Flatten):
            return step.before.receptive_field
    return network.output.receptive_field


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
