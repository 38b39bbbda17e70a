"""A run is a folder, a model alone is a file: how they are opened."""

import json
import shlex
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from verydeep.backends import pytorch
from verydeep.errors import ConfigError, WeightsError
from verydeep.preprocessing import Preprocessing
from verydeep.run_files import CONFIG, METRICS, MODEL, RESULT, lacking
from verydeep.settings.config import Config, checked
from verydeep.settings.sources import from_yaml
from verydeep.spec import Network
from verydeep.weights import canonical


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """A finished run, opened; or a model alone, imported or pulled, of whose training nothing is here."""

    path: Path  # the folder, or the model's file
    settings: Config | None = field(repr=False)  # None: a model alone
    network: Network = field(repr=False)
    weights: dict[str, npt.NDArray[np.float32]] = field(repr=False)  # canonical names
    preprocessing: Preprocessing = field(repr=False)
    classes: tuple[str, ...]  # () where nobody knows them
    history: tuple[dict[str, Any], ...] = field(repr=False)  # the lines of metrics.jsonl
    result: dict[str, Any] = field(repr=False)  # result.json

    @property
    def config(self) -> Config:
        """The settings of the training; ConfigError where there was none here."""
        if self.settings is None:
            raise ConfigError(
                f"{self.path} is a model without its training run",
                code="RUN-NONE",
                hint="Name the data set too; `report` and `push` take a folder that `verydeep train` wrote.",
            )
        return self.settings

    def model(self) -> nn.Sequential:
        """The trained network, in evaluation mode."""
        return pytorch.build(self.network, self.weights, layout=(self.settings or Config()).layout).eval()

    def named(self) -> tuple[str, ...]:
        """The names of the classes; WeightsError where nobody knows them."""
        if not self.classes:
            file = self.path if self.path.is_file() else self.path / MODEL
            raise WeightsError(
                f"{self.path} has no class names",
                code="WEIGHTS-NO-CLASSES",
                hint=f"Give them: verydeep import {_typed(file)} --classes FILE",
            )
        return self.classes


def open_run(path: str | Path) -> Run:
    """The run in a folder, or the model in a file or in a folder that holds no more of its run.

    Raises:
        ConfigError: nothing there, neither a run nor a model in it, or a run without a trained model yet.
        WeightsError: `model.safetensors` or another file of the run is missing or damaged, or nobody knows how
            images become the model's input.
    """
    place = Path(path)
    if place.is_file():
        return _model(place, file=place)
    missing, file = lacking(place), place / MODEL
    if missing is not None and not file.is_file():
        raise ConfigError(
            f"{place} is no run: it has no {missing}",
            code="RUN-MISSING",
            hint="Name a folder that `verydeep train` wrote, or a model's file.",
        )
    if missing is not None:
        return _model(place, file=file)  # settings may lie beside it, but those came from elsewhere and decide nothing
    if not file.is_file():
        raise ConfigError(
            f"the run in {place} has no {MODEL} yet",
            code="RUN-UNFINISHED",
            hint=f"Finish it: verydeep resume {_typed(place)}",
        )
    return replace(
        _model(place, file=file),
        settings=checked(from_yaml(place / CONFIG), where=str(place / CONFIG)),
        history=tuple(read_lines(place / METRICS)),
        result=read_record(place / RESULT),
    )


def _model(path: Path, *, file: Path) -> Run:
    """What a model's file alone tells of the run in `path`."""
    hint = f"Weights from elsewhere become a model's file with: verydeep import {_typed(file)}"
    try:
        model = canonical.load(file)
        preprocessing = canonical.preprocessing_of(model.network, model.preprocessing)
    except WeightsError as error:
        if path == file and error.code in ("WEIGHTS-NO-RECORD", "WEIGHTS-UNREADABLE"):
            error.hint = hint
        raise
    if preprocessing is None:
        raise WeightsError(
            f"{file} does not say how images become its input", code="WEIGHTS-NO-PREPROCESSING", hint=hint
        )
    return Run(
        path=path,
        settings=None,
        network=model.network,
        weights=model.weights,
        preprocessing=preprocessing,
        classes=model.classes,
        history=(),
        result={},
    )


def _typed(path: Path) -> str:
    return shlex.quote(str(path))


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
