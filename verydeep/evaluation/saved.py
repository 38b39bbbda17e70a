"""Posteriors in a file: NumPy's .npz, uncompressed and without any pickle, to be fused with others later."""

import io
import json
import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verydeep.durable import write_atomic
from verydeep.errors import DataError
from verydeep.evaluation.metrics import Member
from verydeep.evaluation.posteriors import Posteriors
from verydeep.weights.regular_file import opened

SUFFIX = ".npz"
MEMBERS = ("posteriors", "labels", "record")  # the record is the rest, JSON in UTF-8
LONGEST = 200  # characters of what is wrong with a file, which may quote it
TOLERANCE = 1e-6  # by which the probabilities of an image may miss 1


def save(found: Posteriors, path: Path) -> None:
    """Write posteriors to a file, whole or not at all.

    Raises:
        ResourceError: the disk is full or refuses.
    """
    record = {
        "classes": found.classes,
        "engine": found.engine,
        "images": found.images,
        "members": [asdict(one) for one in found.members],
    }
    text = np.frombuffer(json.dumps(record).encode(), dtype=np.uint8)
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **dict(zip(MEMBERS, (found.array, found.labels, text), strict=True)))
    write_atomic(path, file.getvalue())


def load(path: Path) -> Posteriors:
    """The posteriors that `save` wrote.

    Raises:
        DataError: code POSTERIORS-DAMAGED; the file is damaged or holds something else.
        WeightsError: there is no such file, or it is no regular file.
    """
    with opened(path) as file:
        try:
            found = _parsed(file.read())
        except Exception as error:  # hostile bytes make zipfile and NumPy raise nearly anything
            why = " ".join(str(error).split())[:LONGEST] or type(error).__name__
            raise DataError(
                f"{path} holds no posteriors: {why}",
                code="POSTERIORS-DAMAGED",
                hint="Write it anew: verydeep evaluate RUN --save FILE.npz",
            ) from None
    return found


def _parsed(content: bytes) -> Posteriors:
    array, labels, text = _members(content)
    record = json.loads(text.tobytes())
    found = Posteriors(
        array=array,
        labels=labels,
        classes=tuple(map(str, record["classes"])),
        engine=str(record["engine"]),
        images=str(record["images"]),
        members=tuple(_member(one) for one in record["members"]),
    )
    if why := _why_not(found):
        raise ValueError(why)
    return found


def _members(content: bytes) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """The three arrays of the archive; none of them is compressed, so that none is larger than the file."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if sorted(archive.namelist()) != sorted(f"{name}.npy" for name in MEMBERS):
            raise ValueError("its members have other names")
        if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
            raise ValueError("it is compressed")
        found = [
            np.lib.format.read_array(io.BytesIO(archive.read(f"{name}.npy")), allow_pickle=False) for name in MEMBERS
        ]
    return found[0], found[1], found[2]


def _member(entry: dict[str, Any]) -> Member:
    scales = tuple(entry["scales"])
    if any(type(scale) is not int for scale in scales):
        raise ValueError("the scales are not whole numbers")
    return Member(str(entry["run"]), str(entry["protocol"]), scales, bool(entry["flip"]))


def _why_not(found: Posteriors) -> str:
    """What speaks against it, empty if nothing does."""
    array, labels, classes = found.array, found.labels, found.classes
    if array.dtype != np.float64 or array.shape != (len(array), len(classes)) or not array.size:
        return f"posteriors are {array.dtype} {list(array.shape)} for {len(classes)} classes"
    if (
        labels.dtype != np.int64
        or labels.shape != (len(array),)
        or not 0 <= labels.min() <= labels.max() < len(classes)
    ):
        return "labels are not those of its images"
    if not np.isfinite(array).all() or array.min() < 0 or np.abs(array.sum(1) - 1).max() > TOLERANCE:
        return "posteriors of an image are not probabilities"
    return "" if found.members else "no run is named"
