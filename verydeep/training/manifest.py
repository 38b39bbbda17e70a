"""What a checkpoint's folder must hold: run, step, and length and SHA-256 of every file, under a seal of its own."""

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from verydeep.errors import WeightsError

NAME = "MANIFEST.json"
WEIGHTS, STATE, RECORD = "weights.safetensors", "state.safetensors", "state.json"
FOLDER = re.compile(r"step-([0-9]{8,})(\.old)?")  # .old: put aside while another of the same step takes its place
SCHEMA = 1  # raised when an older verydeep could no longer read the checkpoint
LONGEST = 64 * 1024  # bytes; a manifest is below 1 KB, so a longer one is not read at all
CHUNK = 1 << 20  # bytes read at a time
RESTORE = "Resume without naming a checkpoint to take the newest valid one, or restore this one from a copy."


@dataclass(frozen=True, slots=True)
class File:
    """What one file must be."""

    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What one checkpoint must be."""

    run_id: str
    step: int
    files: dict[str, File]


def sealed(manifest: Manifest) -> bytes:
    """The manifest's only text: fixed key order and spacing, with the SHA-256 of the rest as one more key."""
    return _seal({"schema": SCHEMA, **asdict(manifest)})


def read(folder: Path, *, run_id: str | None = None) -> Manifest:
    """Read a checkpoint's manifest and check that it fits the folder and, where given, the run.

    Raises WeightsError: CKP-MISSING, CKP-CORRUPT, CKP-NEWER, CKP-OTHER-RUN or CKP-UNREADABLE.
    """
    path = folder / NAME
    with reading(path):
        if not folder.is_dir():
            raise missing(folder)
        if not path.is_file():
            raise missing(path)
        with path.open("rb") as file:
            found = _parsed(file.read(LONGEST + 1), path=path)
    name = FOLDER.fullmatch(folder.name)
    if name and int(name[1]) != found.step:
        raise corrupt(path, f"it is the manifest of step {found.step}")
    if set(found.files) != {WEIGHTS, STATE, RECORD}:
        raise corrupt(path, f"it lists the files {sorted(found.files)}")
    if run_id is not None and found.run_id != run_id:
        raise WeightsError(
            f"{folder} belongs to run {found.run_id}, not to run {run_id}",
            code="CKP-OTHER-RUN",
            hint="Put it back where it came from, or start from its weights alone.",
        )
    return found


def verify(folder: Path, *, run_id: str) -> None:
    """Check every file of a checkpoint without keeping any; raises as `read` does."""
    for name, file in read(folder, run_id=run_id).files.items():
        for _ in checked(folder / name, expected=file):
            pass


def checked(path: Path, *, expected: File) -> Iterator[bytes]:
    """Yield a file's content in pieces, and raise at the end, or before the first, unless it is what is expected."""
    with reading(path):
        if not path.is_file():
            raise missing(path)
        length = path.stat().st_size
        if length != expected.bytes:
            raise corrupt(path, f"it has {length} bytes instead of {expected.bytes}")
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while piece := file.read(CHUNK):
                digest.update(piece)
                yield piece
    if digest.hexdigest() != expected.sha256:
        raise corrupt(path, f"its SHA-256 is {digest.hexdigest()} instead of {expected.sha256}")


def corrupt(path: Path, detail: str) -> WeightsError:
    """The failure of a file that is not what was written."""
    return WeightsError(f"damaged checkpoint file {path}: {detail}", code="CKP-CORRUPT", hint=RESTORE)


def missing(path: Path) -> WeightsError:
    """The failure of a file, or of a whole checkpoint, that is not there."""
    return WeightsError(f"{path} is missing", code="CKP-MISSING", hint=RESTORE)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn the operating system's refusals to read into WeightsError CKP-UNREADABLE."""
    try:
        yield
    except OSError as error:
        raise WeightsError(
            f"cannot read checkpoint file {path}: {error.strerror or error}", code="CKP-UNREADABLE", hint=RESTORE
        ) from error


def _digest(body: dict[str, Any]) -> str:
    return hashlib.sha256(_text(body)).hexdigest()


def _seal(body: dict[str, Any]) -> bytes:
    return _text({**body, "sha256": _digest(body)})


def _text(body: dict[str, Any]) -> bytes:
    return (json.dumps(body, indent=2, sort_keys=True) + "\n").encode()


def _parsed(raw: bytes, *, path: Path) -> Manifest:
    try:
        body = json.loads(raw[:LONGEST])
        claimed = body.pop("sha256")
        text = _seal(body)
    except (ValueError, RecursionError, AttributeError, LookupError, TypeError):
        raise corrupt(path, "it is not a sealed manifest") from None
    if text != raw:
        raise corrupt(path, f"it says SHA-256 {claimed} of itself, and its content gives {_digest(body)}")
    # The seal is the same in every schema, so that a newer checkpoint is told from a damaged one.
    schema = body.get("schema")
    if isinstance(schema, int) and schema > SCHEMA:
        raise WeightsError(
            f"{path.parent} was written by a newer verydeep: checkpoint schema {schema}, this one reads up to {SCHEMA}",
            code="CKP-NEWER",
            hint="Upgrade verydeep.",
        )
    try:
        files = {name: File(int(entry["bytes"]), str(entry["sha256"])) for name, entry in body["files"].items()}
        return Manifest(str(body["run_id"]), int(body["step"]), files)
    except (ValueError, LookupError, TypeError, AttributeError):
        raise corrupt(path, "it is sealed but is not the manifest of a checkpoint") from None
