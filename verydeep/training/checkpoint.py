"""Checkpoints that are whole or absent and are never loaded damaged: a folder built aside, sealed, then renamed.

The order is the promise: write and sync each file, write and sync the manifest, sync the folder, read everything back,
rename it into place, sync the parent; only then may an older checkpoint go.
"""

import json
import math
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as tensors_from

from verydeep.durable import disk_errors, disk_full, free_bytes, make_folder, sync_folder, write_synced
from verydeep.errors import ConfigError, NumericalError, ResourceError, WeightsError
from verydeep.training import manifest
from verydeep.training.manifest import RECORD, STATE, WEIGHTS
from verydeep.training.retention import UNFINISHED, make_way, newest_first, remove_unfinished, retain
from verydeep.training.tensor_file import parts, refuse_non_finite

WRITTEN_AT_MOST = 3  # checkpoints on disk at a time: the two that a run keeps and the one that it is writing
OVERHEAD = 1_000_000  # bytes; far more than the headers, the manifest and the record take


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """Everything a run needs to go on as if it had never stopped."""

    step: int
    weights: dict[str, torch.Tensor]  # parameters and batch-norm statistics
    state: dict[str, torch.Tensor]  # optimiser momentum, averaged weights, generator states
    record: dict[str, Any]  # JSON: epoch, position, config, metrics
    path: Path


@dataclass(frozen=True, slots=True)
class Skipped:
    """A checkpoint that was passed over, and why."""

    path: Path
    reason: str


def save(
    folder: Path,
    *,
    step: int,
    weights: Mapping[str, torch.Tensor],
    state: Mapping[str, torch.Tensor],
    record: dict[str, Any],
    run_id: str,
    keep: int = 2,
) -> Path:
    """Write `folder/step-<step>` durably, then keep it and the `keep - 1` newest valid ones before it; return its path.

    Later steps of the same run go too: whoever saves at an earlier step has gone back, and has another future. The
    caller holds the run's lock. A tuple in the record comes back as a list.

    Raises NumericalError TRAIN-NONFINITE before anything is written, ResourceError DISK-FULL or DISK-ERROR with the
    earlier checkpoints untouched, WeightsError where the record is not JSON or another run has this step.
    """
    if keep < 1:
        raise ConfigError(f"keep = {keep}: a run keeps at least 1 checkpoint", code="CKP-KEEP", hint="Give 1 or more.")
    refuse_non_finite(weights, kind="weight")
    refuse_non_finite(state, kind="state")
    _refuse_unfit(record, where="record")
    text = json.dumps(record, indent=2, allow_nan=False).encode()
    target = folder / f"step-{step:08d}"
    temporary = folder / f"{UNFINISHED}{target.name}"
    with disk_errors(folder, bytes_needed=_size(weights, state) + len(text)):
        make_folder(folder)
        remove_unfinished(folder)
        try:
            temporary.mkdir()
            contents = {WEIGHTS: parts(weights), STATE: parts(state), RECORD: [text]}
            files = {name: manifest.File(*write_synced(temporary / name, data)) for name, data in contents.items()}
            write_synced(temporary / manifest.NAME, [manifest.sealed(manifest.Manifest(run_id, step, files))])
            sync_folder(temporary)
            _read_back(temporary, run_id=run_id)
            make_way(target, run_id=run_id)
            temporary.rename(target)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        sync_folder(folder)
        retain(target, run_id=run_id, keep=keep)
    return target


def load(path: Path, *, run_id: str | None = None) -> Checkpoint:
    """Read a checkpoint after checking every length and hash; nothing in it is ever run.

    Raises WeightsError: CKP-MISSING, CKP-CORRUPT, CKP-NEWER, CKP-UNREADABLE, or CKP-OTHER-RUN where `run_id` is given
    and is not the one in it.
    """
    found = manifest.read(path, run_id=run_id)
    data = {name: b"".join(manifest.checked(path / name, expected=file)) for name, file in found.files.items()}
    try:
        record = json.loads(data[RECORD])
        weights, state = tensors_from(data[WEIGHTS]), tensors_from(data[STATE])
    except (ValueError, RecursionError, SafetensorError) as error:
        raise manifest.corrupt(path, f"its hashes are right, its content is not ({error})") from error
    if not isinstance(record, dict):
        raise manifest.corrupt(path / RECORD, "it is not a JSON object")
    return Checkpoint(step=found.step, weights=weights, state=state, record=record, path=path)


def latest(folder: Path, *, run_id: str | None = None) -> tuple[Checkpoint | None, tuple[Skipped, ...]]:
    """The newest checkpoint that is valid, and those newer ones that were passed over.

    Raises WeightsError CKP-NEWER rather than pass over what only a newer verydeep can read: it is not damaged.
    """
    skipped: list[Skipped] = []
    for path in newest_first(folder):
        try:
            return load(path, run_id=run_id), tuple(skipped)
        except WeightsError as error:
            if error.code == "CKP-NEWER":
                raise
            skipped.append(Skipped(path, error.message))
    return None, tuple(skipped)


def check_space(folder: Path, *, bytes_needed: int) -> None:
    """Find out before the first step whether checkpoints can be written; ResourceError DISK-FULL or DISK-ERROR.

    Makes the folder, removes what killed saves left in it, and writes and removes a small file.
    """
    with disk_errors(folder, bytes_needed=bytes_needed):
        make_folder(folder)
        remove_unfinished(folder)
        probe = folder / f"{UNFINISHED}probe"
        write_synced(probe, [b"can this folder be written?"])
        probe.unlink()
        if free_bytes(folder) < bytes_needed:
            raise disk_full(folder, bytes_needed=bytes_needed)


def _size(weights: Mapping[str, torch.Tensor], state: Mapping[str, torch.Tensor]) -> int:
    return sum(tensor.nbytes for tensor in (*weights.values(), *state.values())) + OVERHEAD


def _refuse_unfit(value: object, *, where: str) -> None:
    """Raise for what would not come back from JSON: NaN, infinity, keys that are not text, objects."""
    match value:
        case float() if not math.isfinite(value):
            raise NumericalError(
                f"{where} is {value}; no checkpoint was written",
                code="TRAIN-NONFINITE",
                hint="Write null for a metric that has no value.",
            )
        case None | bool() | int() | float() | str():
            pass
        case list() | tuple():
            for index, inner in enumerate(value):
                _refuse_unfit(inner, where=f"{where}[{index}]")
        case dict() if all(isinstance(key, str) for key in value):
            for key, inner in value.items():
                _refuse_unfit(inner, where=f"{where}.{key}")
        case _:
            raise WeightsError(
                f"{where} is not JSON: a {type(value).__name__}, or a dict with keys that are not text",
                code="CKP-RECORD",
                hint="Put numbers, text, lists and dicts in the record, and tensors in the state.",
            )


def _read_back(temporary: Path, *, run_id: str) -> None:
    try:
        manifest.verify(temporary, run_id=run_id)
    except WeightsError as error:
        raise ResourceError(
            f"the disk did not keep what was written: {error.message}",
            code="DISK-ERROR",
            hint="Check the disk; the earlier checkpoints are untouched.",
        ) from error
