"""`verydeep export`: a run's network as a file for other programs."""

import json
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from verydeep.cli.options import FLAG, WHOLE, DataRoot
from verydeep.deploy.formats import FORMATS


def run(
    run: Path,
    data: str | None = None,
    /,
    *,
    to: Annotated[str, Parameter(help=f"{', '.join(FORMATS)}.")] = "onnx",
    out: Path | None = None,
    size: Literal["fixed", "free"] = "fixed",
    int8: Annotated[bool, FLAG] = False,
    calibrate: Annotated[int, WHOLE] = 256,
    least_agreement: float = 0.9,
    data_root: DataRoot = None,
    format: Literal["text", "json", "markdown"] = "text",
) -> None:
    """Write a run's network for other programs, with preprocessing and class names inside.

    The file is run beside the PyTorch model on real images, in batches of 1, 2 and 7. If a logit differs by more than
    1e-4 of the largest, or a class that is preferred by more than that, the file is deleted: exit code 8.

    Args:
        run: The folder that `verydeep train` wrote, or a model's file.
        data: Images to check on: a data set's name or a folder; without it, those that the network was trained on.
        out: A new file; without it, model.onnx and the like in RUN.
        size: fixed: images of the network's own size. free: any size, by the fully convolutional form.
        int8: Weights and activations become 8-bit integers; shows accuracy and speed beside floating point.
        calibrate: For --int8: training images on which ranges are measured.
        least_agreement: For --int8: share of up to 1,000 test images whose class must stay the same, or it is deleted.
        format: text, json or markdown: how the result is printed.
    """
    from verydeep.deploy import table
    from verydeep.deploy.export import export

    done = export(
        run,
        data,
        to=to,
        out=out,
        size=size,
        int8=int8,
        calibrate=calibrate,
        least_agreement=least_agreement,
        data_root=data_root,
    )
    match format:
        case "text":
            print(table.to_text(done))
        case "json":
            print(json.dumps(done.to_json(), indent=2))
        case "markdown":
            print(table.to_markdown(done))
