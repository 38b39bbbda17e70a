"""The names of the files in a run folder; they need no framework to be known."""

from pathlib import Path

CONFIG = "config.yaml"  # the resolved settings; `--config` reads it back
METRICS = "metrics.jsonl"  # one line an epoch, equal to the bit for equal runs
METRICS_TABLE = "metrics.csv"
TIMINGS = "timings.jsonl"  # one line an epoch: what differs between equal runs
CHECKPOINTS = "checkpoints"
MODEL = "model.safetensors"  # weights, network, preprocessing and class names
RESULT = "result.json"  # the final accuracies
NETWORK = "network.json"  # the description that `verydeep show` and `resume` read
ENVIRONMENT = "environment.json"
CURVES = "curves.svg"
CONFUSION = "confusion.svg"
REPORT = "report.html"
CARD = "MODEL_CARD.md"


def lacking(folder: Path) -> str | None:
    """The file for want of which a folder is no run: its settings or its network; None where both are there."""
    return next((name for name in (CONFIG, NETWORK) if not (folder / name).is_file()), None)
