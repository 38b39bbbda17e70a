"""`verydeep resume`: go on with a run."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

Less = Parameter(negative="")


def run(
    run: Path,
    /,
    *,
    epochs: Annotated[int | None, Parameter(help="Train for so many epochs in all.")] = None,
    patience: int | None = None,
    workers: int | None = None,
    device: str | None = None,
    data_root: Path | None = None,
    checkpoint_every: int | None = None,
    checkpoint_minutes: float | None = None,
    allow_data_change: Annotated[bool, Less] = False,
) -> None:
    """Go on with a run that was interrupted or killed, from its newest valid checkpoint, to the same bits.

    Args:
        run: The folder that `verydeep train` wrote.
    """
    from verydeep.train.session import resume

    changes: dict[str, Any] = {
        "epochs": epochs,
        "patience": patience,
        "workers": workers,
        "device": device,
        "data_root": data_root,
        "checkpoint_every": checkpoint_every,
        "checkpoint_minutes": checkpoint_minutes,
        "allow_data_change": allow_data_change or None,
    }
    resume(run, {name: value for name, value in changes.items() if value is not None})
