"""An experiment as text, Markdown or JSON: a row for each set of features."""

from collections.abc import Sequence
from typing import Any

from verydeep.report import grid
from verydeep.transfer.experiment import Transfer
from verydeep.transfer.judge import Row


def to_text(found: Transfer) -> str:
    """For a terminal."""
    return f"{_headline(found)}\n\n{grid.plain(*_cells(found.rows), align=_align(found.rows))}\n"


def to_markdown(found: Transfer) -> str:
    """For a document."""
    return f"{_headline(found)}\n\n{grid.markdown(*_cells(found.rows), align=_align(found.rows))}\n"


def to_json(found: Transfer) -> dict[str, Any]:
    """JSON values; fractions, not percent."""
    return {
        "data": found.data,
        "classes": found.classes,
        "images": found.images,
        "partitions": found.partitions,
        "networks": list(found.networks),
        "seed": found.seed,
        "costs": list(found.costs),
        "rows": [row_to_json(row) for row in found.rows],
    }


def row_to_json(row: Row) -> dict[str, Any]:
    """One row: mean, deviation (null for one value alone) and values of each measure."""
    return {
        "name": row.name,
        "features": row.features,
        "measures": {
            measure: {"mean": row.mean(measure), "deviation": row.deviation(measure), "values": list(values)}
            for measure, values in row.values.items()
        },
        "costs": list(row.costs),
        "per_class": dict(row.per_class),
    }


def percent(row: Row, measure: str) -> str:
    """Mean and deviation in percent, as Table 11 has them."""
    deviation = row.deviation(measure)
    return f"{row.mean(measure):.1%}".rstrip("%") + ("" if deviation is None else f" ± {100 * deviation:.1f}")


def _headline(found: Transfer) -> str:
    count = f"{found.partitions} partition{'' if found.partitions == 1 else 's'}"
    return f"{found.data}: {found.images:,} images of {found.classes} classes, {count}; percent"


def _cells(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    measures = tuple(rows[0].values)
    header = ["features", "length", *(measure.replace("-", " ") for measure in measures), "C"]
    cells = [
        [row.name, str(row.features), *(percent(row, measure) for measure in measures), _costs(row)] for row in rows
    ]
    return header, cells


def _costs(row: Row) -> str:
    return ", ".join(f"{cost:g}" for cost in sorted(set(row.costs)))


def _align(rows: Sequence[Row]) -> list[grid.Align]:
    return ["left", *("right" for _ in range(2 + len(rows[0].values)))]
