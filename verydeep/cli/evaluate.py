"""`verydeep evaluate`: the accuracy of a run on a data set."""

import json
from pathlib import Path
from typing import Literal

from verydeep.cli.options import Batch, DataRoot, Device, Download, Engine, Out
from verydeep.cli.output import write_engine, write_text


def run(
    run: Path,
    data: str | None = None,
    /,
    *,
    split: Literal["test", "validation", "train"] = "test",
    data_root: DataRoot = None,
    download: Download = False,
    device: Device = "auto",
    batch: Batch = 256,
    engine: Engine = "auto",
    format: Literal["text", "json", "markdown"] = "text",
    out: Out = None,
) -> None:
    """The accuracy of a run on a data set: top-1, top-5, per class, confusion, calibration error; one centre crop.

    Args:
        run: The folder that `verydeep train` wrote, or a model's file.
        data: A data set's name or a folder; without it, the data that the run was trained on.
        split: test; validation, the images held out from training; or train, all training images.
        format: text, json or markdown.
    """
    from verydeep.evaluation import table
    from verydeep.evaluation.center import evaluate
    from verydeep.processes import speaks

    found = evaluate(
        run, data, split=split, data_root=data_root, download=download, device=device, batch=batch, engine=engine
    )
    if not speaks():
        return
    if format != "json":
        write_engine(found.engine or "")
    match format:
        case "text":
            text = table.to_text(found)
        case "json":
            text = json.dumps(found.to_json(), indent=2)
        case "markdown":
            text = table.to_markdown(found)
    write_text(text, out)
