"""Finding unreadable images before training starts, without ever changing the data set."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import numpy as np

from verydeep.data.decode import decode, reason, shown
from verydeep.data.split import MemorySplit, Split, take
from verydeep.errors import DataError

MAX_BAD_FRACTION = 0.05  # with more bad images than this, something else is wrong: skipping them would hide it
LISTED = 20  # paths named in the message


@dataclass(frozen=True, slots=True)
class Bad:
    """An image that cannot be read."""

    index: int  # in the split
    path: str
    reason: str


def check(split: Split) -> list[Bad]:
    """Every file that does not decode, in the split's order; a set in memory has none."""
    if isinstance(split, MemorySplit):
        return []
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:  # Pillow decodes outside Python's lock
        reasons = pool.map(lambda path: _reason(path, channels=split.channels), split.paths)
        return [Bad(i, split.paths[i], why) for i, why in enumerate(reasons) if why]


def _reason(path: str, *, channels: int) -> str:
    """Why the file cannot be read, empty if it can."""
    try:
        decode(path, channels=channels)
    except DataError as error:
        return reason(error.__cause__ or error)
    return ""


def refuse_unreadable(split: Split) -> None:
    """DataError, code DATA-BAD-IMAGES, with the paths, where an image cannot be read."""
    if bad := check(split):
        raise DataError(_listed(split, bad), code="DATA-BAD-IMAGES", hint="Repair or remove them.")


def usable(split: Split, *, bad_images: Literal["refuse", "skip"]) -> tuple[Split, list[Bad]]:
    """The split without its unreadable images, and those; DataError if there are any and they are not to be skipped.

    More than 5 % unreadable images are refused in either case.
    """
    bad = check(split)
    if not bad:
        return split, bad
    if len(bad) > MAX_BAD_FRACTION * len(split):
        hint = "More than 5 % are too many to skip: repair the data set."
        raise DataError(_listed(split, bad), code="DATA-BAD-IMAGES", hint=hint)
    if bad_images == "refuse":
        hint = "Repair or remove them, or leave them out with --bad-images skip."
        raise DataError(_listed(split, bad), code="DATA-BAD-IMAGES", hint=hint)
    return take(split, np.delete(np.arange(len(split)), [one.index for one in bad])), bad


def _listed(split: Split, bad: list[Bad]) -> str:
    """How many there are, and the first of them by path and reason."""
    named = "; ".join(f"{shown(one.path)} ({one.reason})" for one in bad[:LISTED])
    more = f"; and {len(bad) - LISTED} more" if len(bad) > LISTED else ""
    return f"{split.name}: {len(bad)} of {len(split)} images cannot be read: {named}{more}"
