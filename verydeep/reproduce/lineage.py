"""Which run another began with, noted as it begins: a source that was trained anew leaves no stale descendants."""

import hashlib
import json
from pathlib import Path

from verydeep import run_files as files
from verydeep.durable import disk_errors, make_folder, write_atomic
from verydeep.reproduce.experiments import AnyTraining
from verydeep.reproduce.request import Request
from verydeep.run import read_record


def identity(folder: Path) -> str:
    """A hash that another training in the same folder would not have: of the run's own name and all its epochs."""
    return hashlib.sha256(_own_name(folder).encode() + (folder / files.METRICS).read_bytes()).hexdigest()


def note(training: AnyTraining, request: Request) -> None:
    """Write down with which run a training begins, or has begun if it is there; nothing where it begins from none."""
    before = training.before()
    if before is None:
        return
    own, file = training.folder(request.out, request.scale), _file(training, request)
    record = {
        "run": _own_name(own) if (own / files.ENVIRONMENT).is_file() else None,
        "source": identity(before.folder(request.out, request.scale)),
    }
    with disk_errors(file.parent, bytes_needed=0):
        make_folder(file.parent)
    write_atomic(file, (json.dumps(record, indent=2) + "\n").encode())


def is_stale(training: AnyTraining, request: Request) -> bool:
    """Whether a run that is there began with another one than lies there now; unknown where nobody wrote it down."""
    before, file = training.before(), _file(training, request)
    if before is None or not file.is_file():
        return False
    record = read_record(file)
    if record.get("run") not in (None, _own_name(training.folder(request.out, request.scale))):
        return False  # it was trained by hand since then
    source = before.folder(request.out, request.scale)
    return not (source / files.METRICS).is_file() or record.get("source") != identity(source)


def _file(training: AnyTraining, request: Request) -> Path:
    return request.out / "sources" / f"{training.name(request.scale)}.json"


def _own_name(folder: Path) -> str:
    return str(read_record(folder / files.ENVIRONMENT).get("run"))
