"""`reproduce`: from the name of a table to its numbers, with the paper's beside them."""

import os
from pathlib import Path

from verydeep.data import catalog
from verydeep.errors import ConfigError, DataError, choices
from verydeep.processes import joined
from verydeep.reproduce import (
    findings_document,
    initialisation_table,
    localisation_table,
    outcome,
    pass_task,
    table_document,
    training_task,
    transfer_table,
    transfer_targets,
)
from verydeep.reproduce.claims import CLAIMS
from verydeep.reproduce.command import without_places
from verydeep.reproduce.conduct import compute, left
from verydeep.reproduce.decide import refuse_few_seeds
from verydeep.reproduce.document import Document
from verydeep.reproduce.experiments import Started, Training, Wanted
from verydeep.reproduce.keep import keep, refuse_file, write_documents
from verydeep.reproduce.plan import plan
from verydeep.reproduce.published import TABLES
from verydeep.reproduce.request import Request
from verydeep.reproduce.task import Task, of_tests, of_trainings
from verydeep.training.lock import lock

FINDINGS = "findings"
INITIALISATION = "initialisation"
LOCALISATION = ("table8", "table9")
TRANSFER = "table11"
NAMES = (*TABLES, *LOCALISATION, TRANSFER, FINDINGS, INITIALISATION)


def reproduce(name: str, request: Request, *, command: str = "", kept: Path | None = None) -> Document:
    """Train and test whatever a table needs and is not there yet, and write the table into the folder.

    Args:
        name: One of NAMES: "table3", ..., "findings".
        request: How large, how often, where to.
        command: That was typed, for the notes; they name none of its folders.
        kept: A second folder, which gets the small files that belong into a repository.

    Raises:
        ConfigError: no such table, too few seeds, or a folder that holds other runs.
        DataError: the data is not there, or has no test images.
        NumericalError: code REPRODUCE-DIVERGED; a training diverged, all that does not need it is done.
        ResourceError: not enough space.
        Interrupted: a signal came; the same call goes on.
    """
    _refuse_several_processes()
    _refuse_missing_device(request)
    pass_task.forget()
    every = tasks_of(name, request)
    for folder, option in ((request.out, "--out"), *(((kept, "--keep"),) if kept is not None else ())):
        refuse_file(folder, option=option)
    if name == TRANSFER:
        transfer_targets.refuse_missing(request)
    for data in dict.fromkeys(_data(task, request) for task in left(every, request)):
        _refuse_missing_data(data, request)
    with lock(request.out):
        compute(every, request)
        found = _document(name, request, command=without_places(command))
    write_documents(found, request.out, name=name)
    if kept is not None:
        keep(found, every, request, name=name, folder=kept)
    return found


def planned(name: str, request: Request) -> str:
    """What `reproduce` would compute; needs no data, looks at test images that are here, and writes nothing."""
    pass_task.forget()
    every = tasks_of(name, request)
    return localisation_table.plan(name, request) if name in LOCALISATION else plan(name, every, request)


def tasks_of(name: str, request: Request) -> list[Task]:
    """All that a table needs, done or not; ConfigError where there is no such table or there are too few seeds."""
    if name not in NAMES:
        raise ConfigError(f"there is no table {name!r}", code="REPRODUCE-TABLE", hint=choices(name, NAMES))
    if name == FINDINGS:
        refuse_few_seeds(request.seeds)
        return of_tests(outcome.claim_tests(CLAIMS, request), request)
    if name == INITIALISATION:
        return of_trainings(lambda seed: (Started(start, seed) for start in initialisation_table.starts()), request)
    if name in LOCALISATION:
        localisation_table.refuse_scale(name, request)
        return []
    if name == TRANSFER:
        return of_trainings(lambda seed: (Training(one, seed) for one in transfer_targets.TRAINED), request)
    return of_tests(outcome.table_tests(TABLES[name], request), request)


def _document(name: str, request: Request, *, command: str) -> Document:
    if name == FINDINGS:
        findings = [outcome.judged(claim, request) for claim in CLAIMS]
        return findings_document.of_findings(findings, request, command=command)
    if name == INITIALISATION:
        found = [initialisation_table.began(start, request) for start in initialisation_table.starts()]
        return initialisation_table.of_initialisation(found, request, command=command)
    if name in LOCALISATION:
        return localisation_table.of_localisation(
            name, localisation_table.rows(name, request), request, command=command
        )
    if name == TRANSFER:
        return transfer_table.of_transfer(transfer_targets.targets(request), request, command=command)
    table = TABLES[name]
    return table_document.of_table(table, outcome.measured(table, request), request, command=command)


def _data(task: Task, request: Request) -> str:
    return training_task.settings(task.one.training if isinstance(task, Wanted) else task, request).data


def _refuse_missing_data(data: str, request: Request) -> None:
    """DataError, or a download, before any computing, and once for all processes.

    Images that a run holds out would not do in place of test images: runs of other seeds were trained on them.
    """
    try:
        catalog.load(data, split="test", root=request.data_root, download=request.download)
    except DataError as error:
        if error.code == "DATA-NO-TEST":
            error.hint = "Add one: a net is not tested on images that nets of other seeds were trained on."
        raise


def _refuse_missing_device(request: Request) -> None:
    """ConfigError, code DEVICE, before a folder is made."""
    with joined(request.device):
        pass


def _refuse_several_processes() -> None:
    if os.environ.get("WORLD_SIZE", "1") != "1":
        raise ConfigError(
            "reproduce is one process, and torchrun has started several",
            code="REPRODUCE-WORLD",
            hint="Train a run with torchrun into the folder that --plan names; reproduce finds it finished.",
        )
