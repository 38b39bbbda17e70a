"""What the features of D and E, trained with drawn S, reach on the data sets of Table 11; kept once computed."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from verydeep.data.catalog import DEFAULT_ROOT, ROOT_VARIABLE
from verydeep.durable import disk_errors, make_folder, write_atomic
from verydeep.errors import DataError
from verydeep.reproduce.declared import JITTERED, Trained
from verydeep.reproduce.document import fraction
from verydeep.reproduce.experiments import Training
from verydeep.reproduce.lineage import identity
from verydeep.reproduce.progress import say
from verydeep.reproduce.request import Request
from verydeep.run import open_run
from verydeep.transfer import caltech, sets, table, table_11, voc
from verydeep.transfer.experiment import Plan, refuse_data
from verydeep.transfer.labelled import Labelled

TRAINED = (Trained("D", JITTERED), Trained("E", JITTERED))
BASELINES = ("random", "pixels")
MEASURES = {"voc2007": "voc2007-11-point", "voc2012": "area"}  # of all others the mean class recall
RECALL = "mean-class-recall"
RGB = 3
OF_THE_MACHINE = ("batch", "engine", "device")  # of a plan; they change no figure but in its last digits


@dataclass(frozen=True, slots=True)
class Target:
    """A data set of the table and what was found on it."""

    data: str
    title: str
    measure: str
    rows: Mapping[str, Sequence[float]] | None  # fractions by the features' names; None: the data set is not here


def targets(request: Request) -> tuple[Target, ...]:
    """Every data set of the table; D's and E's runs are done.

    Raises:
        DataError: code DATA-MISSING; none of the data sets is here. Or one of them is damaged.
    """
    found = [_target(data, request) for data in request.scale.transfer]
    if all(target.rows is None for target in found):
        _refuse_none(request)
    return tuple(found)


def refuse_missing(request: Request) -> None:
    """DataError where none of the data sets is here or one of them is damaged, before any network is trained."""
    here = [place for place in (_place(data, request) for data in request.scale.transfer) if place is not None]
    if not here:
        _refuse_none(request)
    for place in here:
        refuse_data(_load(place, request), channels=RGB, seed=Plan().seed)


def published(target: Target, name: str) -> str | None:
    """The paper's figure in percent as it prints it; None where it has none."""
    figures = _figures(target, name)
    return None if figures is None else " \N{PLUS-MINUS SIGN} ".join(map(str, figures))


def published_json(target: Target, name: str) -> dict[str, float | None]:
    """The paper's mean and deviation over partitions as fractions; None where it has none."""
    mean, deviation = (*(_figures(target, name) or ()), None, None)[:2]
    return {"mean": fraction(mean), "deviation": fraction(deviation)}


def _figures(target: Target, name: str) -> tuple[float, ...] | None:
    """The paper's mean and, of Caltech, its deviation, in percent."""
    figures = {row.name: row for row in table_11.PUBLISHED}.get(name)
    if figures is None:
        return None
    match target.data:
        case "voc2007":
            return (figures.voc2007,)
        case "voc2012":
            return (figures.voc2012,)
        case "caltech101":
            return figures.caltech101
        case "caltech256":
            return figures.caltech256
        case _:
            return None


def _target(data: str, request: Request) -> Target:
    measure = MEASURES.get(data, RECALL)
    place = _place(data, request)
    if place is None:
        return Target(data, data, measure, None)
    folders = {
        one.net: [Training(one, seed).folder(request.out, request.scale) for seed in range(request.seeds)]
        for one in TRAINED
    }
    file = request.out / "evaluations" / "transfer" / f"{data}.json"
    labelled = _load(place, request)
    plan = Plan(baselines=BASELINES, device=request.device)
    key = _key([each for of_net in folders.values() for each in of_net], labelled, plan)
    record = _kept(file, key=key, measure=measure)
    if record is None:
        say(f"features of {', '.join(folders)} on {data}")
        runs = {net: [open_run(each) for each in of_net] for net, of_net in folders.items()}
        record = _record(table_11.rows(runs, labelled, plan=plan), labelled, key=key)
        with disk_errors(file.parent, bytes_needed=0):
            make_folder(file.parent)
        write_atomic(file, (json.dumps(record, indent=2) + "\n").encode())
    values = {row["name"]: row["measures"][measure]["values"] for row in record["rows"]}
    return Target(data, record["title"], measure, values)


def _key(runs: Sequence[Path], labelled: Labelled, plan: Plan) -> str:
    """What the figures depend on: the runs, the images, what they show, their partitions, and the plan."""
    asked = {name: value for name, value in asdict(plan).items() if name not in OF_THE_MACHINE}
    digest = hashlib.sha256("".join(identity(run) for run in runs).encode())
    digest.update(repr((asked, labelled.classes, labelled.measure, labelled.truth.shape)).encode())
    digest.update(labelled.truth.tobytes())
    for part in labelled.partitions:
        digest.update(part.train.tobytes() + b"|" + part.test.tobytes())
    for source in labelled.images:
        if isinstance(source, np.ndarray):
            digest.update(repr(source.shape).encode() + source.tobytes())
        else:  # the folder may have moved; a file that was changed nearly always has another length
            digest.update(repr((Path(source).parts[-2:], Path(source).stat().st_size)).encode())
    return digest.hexdigest()


def _kept(file: Path, *, key: str, measure: str) -> dict[str, Any] | None:
    """The record of figures that were computed before; None where it is of something else, or damaged."""
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        values = [row["measures"][measure]["values"] for row in record["rows"] if isinstance(row["name"], str)]
        whole = all(isinstance(value, float) for of_row in values for value in of_row) and all(values)
        same = record["runs"] == key and isinstance(record["title"], str)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return record if same and whole and len(values) == len(record["rows"]) > 0 else None


def _record(rows: Sequence[Any], labelled: Labelled, *, key: str) -> dict[str, Any]:
    return {"runs": key, "title": labelled.name, "rows": [table.row_to_json(row) for row in rows]}


def _load(place: str, request: Request) -> Labelled:
    return sets.load(place, channels=RGB, wishes=sets.Wishes(data_root=request.data_root))


def _place(data: str, request: Request) -> str | None:
    """What `sets.load` is to be given for a data set; None where it is not here."""
    if data in (*caltech.COLLECTIONS, *voc.SETS):
        try:
            _load(data, request)
        except DataError as error:
            if error.code != "DATA-MISSING":
                raise
            return None
        return data
    folder = (request.data_root or Path(os.environ.get(ROOT_VARIABLE) or DEFAULT_ROOT)) / data
    return str(folder) if folder.is_dir() else None


def _refuse_none(request: Request) -> None:
    names = ", ".join(request.scale.transfer)
    raise DataError(
        f"none of the data sets of Table 11 is here: {names}",
        code="DATA-MISSING",
        hint="Say where they are with --data-root DIR or VERYDEEP_DATA.",
    )
