"""The one message for a data set that is not there: the file, the folders searched, what to do."""

from collections.abc import Sequence
from pathlib import Path

from verydeep.errors import DataError


def missing(name: str, *, file: str, searched: Sequence[Path], hint: str) -> DataError:
    """A DataError(code="DATA-MISSING") that names the file and every folder where it was looked for."""
    folders = ", ".join(str(folder) for folder in searched)
    return DataError(f"{name}: {file} is missing; searched in {folders}", code="DATA-MISSING", hint=hint)


def hint_for_download(name: str) -> str:
    """What to do about a missing set that torchvision can fetch."""
    return f"Say where it is with --data-root DIR or VERYDEEP_DATA, or fetch {name} with --download."
