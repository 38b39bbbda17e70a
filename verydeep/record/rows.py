"""The lines that a run writes while it trains: metrics, equal to the bit for equal runs, and timings, which differ."""

import csv
import io
import json
from pathlib import Path
from typing import Any

from verydeep.durable import write_atomic
from verydeep.run_files import METRICS, METRICS_TABLE, TIMINGS


def write_rows(folder: Path, *, history: list[dict[str, Any]], timings: list[dict[str, Any]]) -> None:
    """Every epoch's row as `metrics.jsonl`, `metrics.csv` and `timings.jsonl`, whole: a resumed run repeats none."""
    write_atomic(folder / METRICS, _lines(history))
    table = io.StringIO()
    if history:
        writer = csv.DictWriter(table, fieldnames=list(history[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(history)
    write_atomic(folder / METRICS_TABLE, table.getvalue().encode())
    write_atomic(folder / TIMINGS, _lines(timings))


def _lines(rows: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()
