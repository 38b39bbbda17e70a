"""What the features of D and E, trained with drawn S, reach on the data sets of Table 11; kept once computed."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from verydeep.data.catalog import DEFAULT_ROOT, ROOT_VARIABLE
from verydeep.durable import disk_errors, make_folder, write_atomic
from verydeep.errors import DataError
from verydeep.reproduce.declared import JITTERED, Trained
from verydeep.reproduce.experiments import Training
from verydeep.reproduce.progress import say
from verydeep.reproduce.request import Request
from verydeep.reproduce.training_task import identity
from verydeep.run import open_run, read_record
from verydeep.transfer import caltech, sets, table, table_11, voc
from verydeep.transfer.experiment import Plan
from verydeep.transfer.labelled import Labelled

TRAINED = (Trained("D", JITTERED), Trained("E", JITTERED))
BASELINES = ("random", "pixels")
MEASURES = {"voc2007": "voc2007-11-point", "voc2012": "area"}  # of all others the mean class recall
RECALL = "mean-class-recall"
RGB = 3


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
    """DataError where none of the data sets is here, before any network is trained."""
    if not any(_place(data, request) for data in request.scale.transfer):
        _refuse_none(request)


def published(target: Target, name: str) -> str | None:
    """The paper's figure in percent as it prints it; None where it has none."""
    figures = {row.name: row for row in table_11.PUBLISHED}.get(name)
    if figures is None:
        return None
    match target.data:
        case "voc2007":
            return f"{figures.voc2007}"
        case "voc2012":
            return f"{figures.voc2012}"
        case "caltech101":
            return "{} \N{PLUS-MINUS SIGN} {}".format(*figures.caltech101)
        case "caltech256":
            return "{} \N{PLUS-MINUS SIGN} {}".format(*figures.caltech256)
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
    key = hashlib.sha256("".join(identity(each) for of_net in folders.values() for each in of_net).encode()).hexdigest()
    record = read_record(file) if file.is_file() else {}
    if record.get("runs") != key:
        say(f"features of {', '.join(folders)} on {data}")
        labelled = sets.load(place, channels=RGB, wishes=sets.Wishes(data_root=request.data_root))
        runs = {net: [open_run(each) for each in of_net] for net, of_net in folders.items()}
        plan = Plan(baselines=BASELINES, device=request.device)
        record = _record(table_11.rows(runs, labelled, plan=plan), labelled, key=key)
        with disk_errors(file.parent, bytes_needed=0):
            make_folder(file.parent)
        write_atomic(file, (json.dumps(record, indent=2) + "\n").encode())
    values = {row["name"]: row["measures"][measure]["values"] for row in record["rows"]}
    return Target(data, record["title"], measure, values)


def _record(rows: Sequence[Any], labelled: Labelled, *, key: str) -> dict[str, Any]:
    return {"runs": key, "title": labelled.name, "rows": [table.row_to_json(row) for row in rows]}


def _place(data: str, request: Request) -> str | None:
    """What `sets.load` is to be given for a data set; None where it is not here."""
    if data in (*caltech.COLLECTIONS, *voc.SETS):
        try:
            sets.load(data, channels=RGB, wishes=sets.Wishes(data_root=request.data_root))
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
