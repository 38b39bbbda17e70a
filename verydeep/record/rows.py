"""The lines that a run writes while it trains: metrics, equal to the bit for equal runs, and timings, which differ."""

import csv
import io
import json
from pathlib import Path
from typing import Any

from verydeep.durable import write_atomic
from verydeep.record.folder import METRICS, METRICS_TABLE, TIMINGS, read_lines


def write_metrics(folder: Path, history: list[dict[str, Any]]) -> None:
    """Every epoch's row as `metrics.jsonl` and as `metrics.csv`, whole, so that a resumed run repeats none."""
    lines = "".join(json.dumps(row) + "\n" for row in history)
    write_atomic(folder / METRICS, lines.encode())
    table = io.StringIO()
    if history:
        writer = csv.DictWriter(table, fieldnames=list(history[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(history)
    write_atomic(folder / METRICS_TABLE, table.getvalue().encode())


def append_timing(folder: Path, *, epoch: int, seconds: float) -> None:
    """Note how long an epoch's training took since it began or was resumed; validation is not in it."""
    with (folder / TIMINGS).open("a") as file:
        file.write(json.dumps({"epoch": epoch, "seconds": round(seconds, 3)}) + "\n")


def training_seconds(folder: Path) -> float:
    """Wall clock of training alone, over all epochs."""
    return sum(float(row["seconds"]) for row in read_lines(folder / TIMINGS))
