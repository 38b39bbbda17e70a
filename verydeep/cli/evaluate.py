"""`verydeep evaluate`: the accuracy of a run on a data set."""

import json
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from verydeep.cli.options import WHOLE, Batch, DataRoot, Device, Download, Engine, Out
from verydeep.cli.output import write_engine, write_text

Scales = Annotated[
    tuple[int, ...] | None,
    WHOLE,
    Parameter(
        consume_multiple=True,
        help="Smallest sides Q of the rescaled image in pixels, averaged over; without it, the run's own.",
    ),
]
Flip = Annotated[
    bool | None,
    Parameter(negative="--no-flip", help="Average over the mirror image too; as in training, except for center."),
]
Fuse = Annotated[
    tuple[Path, ...],
    Parameter(
        consume_multiple=True,
        show_default=False,
        help="More runs, or files of --save: all answer together, by their mean.",
    ),
]
Save = Annotated[Path | None, Parameter(help="Keep the probabilities in this file, an .npz, to fuse them later.")]
Memory = Annotated[int, WHOLE, Parameter(help="MiB that maps may take; a larger image is computed in parts.")]


def run(
    run: Path,
    data: str | None = None,
    /,
    *,
    protocol: Literal["center", "ten-crop", "dense", "multi-crop", "both"] = "center",
    scales: Scales = None,
    flip: Flip = None,
    fuse: Fuse = (),
    save: Save = None,
    split: Literal["test", "validation", "train"] = "test",
    data_root: DataRoot = None,
    download: Download = False,
    device: Device = "auto",
    batch: Batch = 256,
    memory: Memory = 1024,
    engine: Engine = "auto",
    format: Literal["text", "json", "markdown"] = "text",
    out: Out = None,
) -> None:
    """The accuracy of a run on a data set: top-1, top-5, per class, confusion, calibration error.

    Args:
        run: The folder that `verydeep train` wrote, or a model's file; or a file of --save.
        data: A data set's name or a folder; without it, the data that the run was trained on.
        protocol: center, one crop; ten-crop; multi-crop, 50 crops for each scale; dense, the whole image; or both.
        split: test; validation, the images held out from training; or train, all training images.
        format: text, json or markdown.
    """
    from verydeep.cli.progress import bar
    from verydeep.evaluation import table
    from verydeep.evaluation.evaluate import evaluate
    from verydeep.evaluation.room import MEBIBYTE
    from verydeep.processes import speaks

    with bar("images") as watch:
        found = evaluate(
            run,
            data,
            protocol=protocol,
            scales=scales,
            flip=flip,
            fuse=fuse,
            save=save,
            split=split,
            data_root=data_root,
            download=download,
            device=device,
            batch=batch,
            memory=memory * MEBIBYTE,
            engine=engine,
            watch=watch,
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
