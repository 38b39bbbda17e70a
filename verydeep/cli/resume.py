"""`verydeep resume`: go on with a run."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from verydeep.cli.options import FLAG, WHOLE


def run(
    run: Path,
    /,
    *,
    epochs: Annotated[int | None, WHOLE, Parameter(help="Train for so many epochs in all.")] = None,
    patience: Annotated[
        int | None, WHOLE, Parameter(help="Stop after so many epochs without a better validation; 0: never.")
    ] = None,
    device: Annotated[str | None, Parameter(help="auto, cpu, cuda or cuda:N.")] = None,
    workers: Annotated[int | None, WHOLE, Parameter(help="Processes that decode image files.")] = None,
    data_root: Annotated[Path | None, Parameter(help="Folder of the data set's files, if it has moved.")] = None,
    checkpoint_every: Annotated[
        int | None, WHOLE, Parameter(help="Steps between checkpoints; 0: by minutes only.")
    ] = None,
    checkpoint_minutes: Annotated[float | None, Parameter(help="Most minutes between checkpoints.")] = None,
    allow_data_change: Annotated[bool, FLAG, Parameter(help="Go on although the data set has changed.")] = False,
) -> None:
    """Go on with a run that was interrupted or killed, from its newest valid checkpoint, to the same bits.

    Without options everything stays as the run began.

    Args:
        run: The folder that `verydeep train` wrote.
    """
    from verydeep.training.session import resume

    changes: dict[str, Any] = {
        "epochs": epochs,
        "patience": patience,
        "device": device,
        "workers": workers,
        "data_root": data_root,
        "checkpoint_every": checkpoint_every,
        "checkpoint_minutes": checkpoint_minutes,
    }
    given = {name: value for name, value in changes.items() if value is not None}
    resume(run, given, allow_data_change=allow_data_change)
