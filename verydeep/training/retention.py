"""Which checkpoints of a folder stay, and how one makes way for another without a moment in which none can load."""

import shutil
from pathlib import Path

from verydeep.durable import sync_folder
from verydeep.errors import WeightsError
from verydeep.training import manifest

UNFINISHED = ".unfinished-"  # prefix of what a kill may leave behind
DAMAGED = ("CKP-CORRUPT", "CKP-MISSING")  # can never load again; other refusals may end


def newest_first(folder: Path) -> list[Path]:
    """The checkpoints of a folder, valid or not; one put aside comes after the one that took its place."""
    if not folder.is_dir():
        return []
    with manifest.reading(folder):
        named = [(manifest.FOLDER.fullmatch(path.name), path) for path in folder.iterdir() if path.is_dir()]
    found = [(int(name[1]), name[2] is None, path) for name, path in named if name]
    return [path for _, _, path in sorted(found, reverse=True)]


def make_way(target: Path, *, run_id: str) -> None:
    """Free the name of a checkpoint about to be written: a damaged one goes, a valid one stays loadable beside it."""
    if not target.exists():
        return
    try:
        manifest.verify(target, run_id=run_id)
    except WeightsError as error:
        if error.code not in DAMAGED:
            raise
        _discard(target)
        return
    aside = target.with_name(f"{target.name}.old")
    if aside.exists():
        _discard(aside)
    target.rename(aside)
    sync_folder(target.parent)


def retain(target: Path, *, run_id: str, keep: int) -> None:
    """Remove what the new checkpoint replaces, and leave what another run or a newer verydeep wrote."""
    kept = 1  # the new one, which has been read back
    newest = manifest.read(target, run_id=run_id).step
    for path in newest_first(target.parent):
        if path == target:
            continue
        try:
            if manifest.read(path, run_id=run_id).step < newest and kept < keep:
                manifest.verify(path, run_id=run_id)
                kept += 1
            else:
                _discard(path)
        except WeightsError as error:
            if error.code in DAMAGED:
                _discard(path)


def remove_unfinished(folder: Path) -> None:
    """Remove what killed saves left; the caller holds the run's lock, so none is being written."""
    for left in folder.glob(f"{UNFINISHED}*"):
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left)
        else:
            left.unlink()


def _discard(path: Path) -> None:
    # Under another name first: a kill half-way must not leave something that looks like a damaged checkpoint.
    doomed = path.with_name(f"{UNFINISHED}gone-{path.name}")
    path.rename(doomed)
    shutil.rmtree(doomed)
