"""A run is a folder: how it is opened."""

import json
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from verydeep.backends import pytorch
from verydeep.errors import ConfigError, WeightsError
from verydeep.preprocessing import Preprocessing, from_json
from verydeep.run_files import CONFIG, METRICS, MODEL, RESULT
from verydeep.settings.config import Config, checked
from verydeep.settings.sources import from_yaml
from verydeep.spec import Network
from verydeep.weights import canonical


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """A finished run, opened."""

    path: Path  # the folder
    config: Config = field(repr=False)
    network: Network = field(repr=False)
    weights: dict[str, npt.NDArray[np.float32]] = field(repr=False)  # canonical names
    preprocessing: Preprocessing = field(repr=False)
    classes: tuple[str, ...]
    history: tuple[dict[str, Any], ...] = field(repr=False)  # the lines of metrics.jsonl
    result: dict[str, Any] = field(repr=False)  # result.json

    def model(self) -> nn.Sequential:
        """The trained network, in evaluation mode."""
        return pytorch.build(self.network, self.weights, layout=self.config.layout).eval()


def open_run(path: str | Path) -> Run:
    """The run in a folder.

    Raises:
        ConfigError: no such folder, no run in it, or a run without a trained model yet.
        WeightsError: `model.safetensors` or another file of the run is missing or damaged.
    """
    folder = Path(path)
    if not (folder / CONFIG).is_file():
        raise ConfigError(
            f"{folder} is no run: it has no {CONFIG}",
            code="RUN-MISSING",
            hint="Name a folder that `verydeep train` wrote.",
        )
    if not (folder / MODEL).is_file():
        raise ConfigError(
            f"the run in {folder} has no {MODEL} yet",
            code="RUN-UNFINISHED",
            hint=f"Finish it: verydeep resume {shlex.quote(str(folder))}",
        )
    model = canonical.load(folder / MODEL)
    return Run(
        path=folder,
        config=checked(from_yaml(folder / CONFIG), where=str(folder / CONFIG)),
        network=model.network,
        weights=model.weights,
        preprocessing=from_json(model.preprocessing),
        classes=model.classes,
        history=tuple(read_lines(folder / METRICS)),
        result=read_record(folder / RESULT),
    )


def read_record(path: Path) -> dict[str, Any]:
    """The JSON object in a file of a run.

    Raises:
        WeightsError: the file is missing or damaged.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise _damaged(path, str(error)) from None
    if not isinstance(record, dict):
        raise _damaged(path, "it holds no JSON object")
    return record


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The records of a .jsonl file.

    Raises:
        WeightsError: the file is missing or damaged.
    """
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise _damaged(path, str(error)) from None


def _damaged(path: Path, why: str) -> WeightsError:
    return WeightsError(
        f"{path} cannot be read: {why}",
        code="RUN-DAMAGED",
        hint="Restore the file; `verydeep resume` writes anew what follows from the checkpoints.",
    )
