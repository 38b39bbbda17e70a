"""The small files of a reproduction, for a repository: the table, and of each run its settings and its result."""

from collections.abc import Sequence
from pathlib import Path

import yaml

from verydeep import run_files as files
from verydeep.durable import disk_errors, make_folder, write_atomic
from verydeep.errors import ConfigError
from verydeep.record.words import settings
from verydeep.reproduce.document import Document, Format, write
from verydeep.reproduce.experiments import Wanted
from verydeep.reproduce.request import Request
from verydeep.reproduce.task import Task
from verydeep.run import open_run

README = "README.md"
ENDINGS: dict[str, Format] = {"md": "markdown", "html": "html", "json": "json"}


def write_documents(document: Document, folder: Path, *, name: str) -> None:
    """NAME.md, NAME.html and NAME.json in `folder`, each replacing its like."""
    refuse_file(folder, option="--out")
    with disk_errors(folder.parent, bytes_needed=0):
        make_folder(folder)
    for ending, kind in ENDINGS.items():
        write_atomic(folder / f"{name}.{ending}", write(document, kind).encode())


def keep(document: Document, every: Sequence[Task], request: Request, *, name: str, folder: Path) -> None:
    """Write what belongs into a repository: the documents, and config.yaml, result.json and metrics.jsonl of each run.

    The settings name no place on this machine. A README.md that is there stays.
    """
    refuse_file(folder, option="--keep")
    write_documents(document, folder, name=name)
    for training in (task for task in every if not isinstance(task, Wanted)):
        source, target = training.folder(request.out, request.scale), folder / training.name(request.scale)
        with disk_errors(folder, bytes_needed=0):
            make_folder(target)
        text = yaml.safe_dump(settings(open_run(source).config), sort_keys=False)
        write_atomic(target / files.CONFIG, text.encode())
        for file in (files.RESULT, files.METRICS):
            write_atomic(target / file, (source / file).read_bytes())
    if not (folder / README).exists():
        text = f"# {document.title}\n\n    {document.record['command']}\n\nThe result: [{name}.md]({name}.md).\n"
        write_atomic(folder / README, text.encode())


def refuse_file(folder: Path, *, option: str) -> None:
    """ConfigError where `folder` is a file: what takes hours must not find out in the end."""
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{option} {folder} is not a folder", code="OUT", hint="Name a folder, new or not.")
