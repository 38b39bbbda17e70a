"""A trained localiser is a folder: the network's file, and localiser.json with what its outputs mean."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from verydeep.durable import make_folder, write_atomic
from verydeep.errors import WeightsError
from verydeep.localise.head import COORDINATES, SHORT, BoxMode
from verydeep.preprocessing import Preprocessing
from verydeep.run_files import MODEL
from verydeep.spec import Network
from verydeep.weights import canonical

RECORD = "localiser.json"
SCHEMA = 1
KEYS = ("schema", "boxes", "classes", "classifier", "tuning", "data", "history", "result", "environment")
AGAIN = "Copy the folder again, or make it with `verydeep localise train`."


@dataclass(frozen=True, slots=True, eq=False)
class Localiser:
    """A network that gives boxes, and for which classes."""

    path: Path  # the folder
    network: Network = field(repr=False)
    weights: dict[str, npt.NDArray[np.float32]] = field(repr=False)  # canonical names
    preprocessing: Preprocessing = field(repr=False)
    boxes: BoxMode
    classes: tuple[str, ...]  # those of the classifier, whose boxes come in this order
    classifier: Path | None  # the run that it was made from; it may have gone since
    record: dict[str, Any] = field(repr=False)  # localiser.json: tuning, history, result


def save_localiser(
    folder: Path,
    *,
    network: Network,
    weights: Mapping[str, npt.NDArray[Any]],
    preprocessing: Preprocessing,
    boxes: BoxMode,
    classes: tuple[str, ...],
    classifier: Path | None,
    record: Mapping[str, Any],
) -> None:
    """Write both files; the classifier's place is kept as seen from the folder, so that both can be moved together.

    Raises:
        WeightsError: the weights are not those of the network, or not finite.
        ResourceError: the disk is full or refuses.
    """
    make_folder(folder)
    canonical.save(folder / MODEL, network=network, weights=weights, preprocessing=preprocessing.to_json())
    place = None if classifier is None else os.path.relpath(classifier, folder)
    text = json.dumps(
        {"schema": SCHEMA, "boxes": boxes, "classes": list(classes), "classifier": place, **record}, indent=2
    )
    write_atomic(folder / RECORD, (text + "\n").encode())


def open_localiser(path: str | Path) -> Localiser:
    """The localiser in a folder.

    Raises:
        WeightsError: code LOCALISER-MISSING, nothing there; LOCALISER-DAMAGED, its record cannot be read or does not
            go with its network; or the network's file is damaged.
    """
    folder = Path(path)
    if not (folder / RECORD).is_file() or not (folder / MODEL).is_file():
        lacking = RECORD if not (folder / RECORD).is_file() else MODEL
        raise WeightsError(
            f"{folder} is no localiser: it has no {lacking}",
            code="LOCALISER-MISSING",
            hint="Make one with: verydeep localise train RUN DATA",
        )
    record = _record(folder / RECORD)
    model = canonical.load(folder / MODEL)
    preprocessing = canonical.preprocessing_of(model.network, model.preprocessing)
    if preprocessing is None:
        raise _damaged(folder / MODEL, "it does not say how images become its input")
    boxes, classes = cast("BoxMode", record["boxes"]), tuple(record["classes"])
    outputs = COORDINATES * (len(classes) if boxes == "per-class" else 1)
    if model.network.classes != outputs:
        raise _damaged(
            folder / RECORD, f"{boxes} boxes for {len(classes)} classes, and {model.network.classes} outputs"
        )
    classifier = record["classifier"]
    return Localiser(
        path=folder,
        network=model.network,
        weights=model.weights,
        preprocessing=preprocessing,
        boxes=boxes,
        classes=classes,
        classifier=None if classifier is None else Path(os.path.normpath(folder / classifier)),
        record=record,
    )


def _record(path: Path) -> dict[str, Any]:
    """What localiser.json says, the types of what is used checked."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise _damaged(path, str(error)) from None
    if not isinstance(value, dict) or sorted(value) != sorted(KEYS):
        raise _damaged(path, "entries are missing or unknown")
    if value["schema"] != SCHEMA:
        raise _damaged(path, f"it is written in schema {value['schema']!r:.40}, and this version reads {SCHEMA}")
    classes = value["classes"]
    named = isinstance(classes, list) and all(isinstance(name, str) for name in classes)
    if not named or not classes or len(set(classes)) != len(classes):
        raise _damaged(path, "classes are different names")
    if not isinstance(value["boxes"], str) or value["boxes"] not in SHORT:
        raise _damaged(path, f"boxes are {value['boxes']!r:.40}")
    if not isinstance(value["classifier"], str | None):
        raise _damaged(path, f"the classifier is {value['classifier']!r:.40}")
    return value


def _damaged(path: Path, why: str) -> WeightsError:
    return WeightsError(f"{path} cannot be used: {why}", code="LOCALISER-DAMAGED", hint=AGAIN)
