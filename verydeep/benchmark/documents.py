"""What a benchmark of any kind found as text, as Markdown, as JSON and as files."""

import json
from pathlib import Path
from typing import Literal

from verydeep.benchmark import bench_text, figure, protocols_text, training_text
from verydeep.benchmark.bench import Bench
from verydeep.benchmark.protocols import ProtocolBench
from verydeep.benchmark.sections import to_markdown, to_text
from verydeep.benchmark.training import TrainingBench
from verydeep.durable import disk_errors, make_folder, write_atomic
from verydeep.errors import ConfigError

Found = Bench | TrainingBench | ProtocolBench
NAME = "bench"  # of the files


def text(found: Found, *, format: Literal["text", "json", "markdown"]) -> str:
    """What is printed."""
    if format == "json":
        return json.dumps(found.to_json(), indent=2)
    draw = to_text if format == "text" else to_markdown
    match found:
        case Bench():
            return draw(bench_text.sections(found), bench_text.notes(found))
        case TrainingBench():
            return draw(training_text.sections(found), training_text.notes(found))
        case ProtocolBench():
            return draw(protocols_text.sections(found), protocols_text.notes(found))


def svg(found: Found) -> str:
    """The figure: what an image costs, or how many are trained, or what a protocol takes."""
    match found:
        case Bench():
            return figure.cost(found)
        case TrainingBench():
            rates = {f"{row.recipe}: {row.engine}": row.images_per_second or 0.0 for row in found.rows}
            return figure.bars("Training", rates, label="images a second")
        case ProtocolBench():
            times = {f"{row.engine} {row.part}": row.median_ms or 0.0 for row in found.rows}
            return figure.bars(found.network.name, times, label="ms, median")


def write(found: Found, folder: Path) -> None:
    """Write bench.json, bench.md and bench.svg into `folder`, which is made if it is missing; each replaces its like.

    Raises:
        ConfigError: code OUT; something is there that is no folder.
        ResourceError: the disk is full or refuses.
    """
    refuse_file(folder)
    contents = {
        "json": text(found, format="json") + "\n",
        "md": text(found, format="markdown") + "\n",
        "svg": svg(found),
    }
    with disk_errors(folder.parent, bytes_needed=sum(map(len, contents.values()))):
        make_folder(folder)
        for ending, content in contents.items():
            write_atomic(folder / f"{NAME}.{ending}", content.encode(errors="backslashreplace"))


def refuse_file(folder: Path | None) -> None:
    """ConfigError where `folder` is a file: what takes minutes must not find out in the end."""
    if folder is not None and folder.exists() and not folder.is_dir():
        raise ConfigError(f"--out {folder} is not a folder", code="OUT", hint="Name a folder, new or not.")
