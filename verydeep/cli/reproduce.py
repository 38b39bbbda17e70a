"""`verydeep reproduce`: the paper's tables and findings, computed again."""

import shlex
import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from verydeep.cli.options import FLAG, WHOLE, DataRoot, Device, Download


def run(
    table: str,
    /,
    *,
    scale: Annotated[
        str, Parameter(help="laptop: an eighth of the paper's lengths, thin nets; or imagenet.")
    ] = "laptop",
    seeds: Annotated[int, WHOLE, Parameter(help="Trainings of each network; findings need 3 or more.")] = 3,
    out: Annotated[
        Path | None, Parameter(help="Folder of runs, passes and tables [default: reproduced-SCALE].")
    ] = None,
    data: Annotated[
        str | None, Parameter(help="A data set's name or a folder [default: the scale's, cifar10-jpeg or imagenet].")
    ] = None,
    data_root: DataRoot = None,
    download: Download = False,
    epochs: Annotated[int | None, WHOLE, Parameter(help="Of every training [default: the recipes' own].")] = None,
    test_images: Annotated[
        int | None, WHOLE, Parameter(help="Test images, the first of a fixed order; 0: all [default: the scale's].")
    ] = None,
    crop_images: Annotated[
        int | None, WHOLE, Parameter(help="The same where crops are compared: each image costs 150 of them.")
    ] = None,
    jobs: Annotated[int, WHOLE, Parameter(help="Trainings and passes at a time, each with one thread.")] = 1,
    workers: Annotated[int | None, WHOLE, Parameter(help="Processes that decode image files [default: 2].")] = None,
    device: Device = "auto",
    plan: Annotated[
        bool, FLAG, Parameter(help="Print the runs and passes, what is done and what is left, and stop.")
    ] = False,
    keep: Annotated[Path | None, Parameter(help="Folder for the small files that belong into a repository.")] = None,
    format: Literal["text", "json", "markdown", "html"] = "text",
) -> None:
    """Train and test what a table of the paper needs; prints it with the paper's figures beside ours.

    What is done already is taken from the folder, what was interrupted goes on: the same command again loses nothing,
    and tables share their runs.

    Args:
        table: table3 to table9, table11; findings, the claims of the paper, tested over seeds; or initialisation, which
            first weights let a deep net learn.
        format: text, json, markdown or html; all but the first are also files in the folder.
    """
    from verydeep.reproduce import document
    from verydeep.reproduce.idle import refuse_idle
    from verydeep.reproduce.reproduce import planned, reproduce
    from verydeep.reproduce.request import Request, with_choices
    from verydeep.reproduce.scales import scale as by_name

    given = {
        "--scale imagenet": scale == "imagenet",
        "--data": data is not None,
        "--epochs": epochs is not None,
        "--test-images": test_images is not None,
        "--crop-images": crop_images is not None,
        "--jobs": jobs > 1,
        "--workers": workers is not None,
    }
    refuse_idle(table, given=given)
    chosen = with_choices(by_name(scale), data=data, epochs=epochs, test_images=test_images, crop_images=crop_images)
    request = Request(
        chosen,
        seeds,
        out or Path(f"reproduced-{scale}"),
        data_root=data_root,
        download=download,
        device=device,
        workers=workers,
        jobs=jobs,
    )
    if plan:
        print(planned(table, request), end="")
        return
    command = shlex.join(["verydeep", *sys.argv[1:]])
    print(document.write(reproduce(table, request, command=command, kept=keep), format), end="")
