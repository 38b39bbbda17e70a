"""Descriptors of image files as one .npz: names, an array for each layer, and a record of how they were made.

Nothing in it is a pickle: ``numpy.load(file)`` reads it, and ``json.loads(str(file["record"]))`` the record.
"""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from verydeep.durable import write_atomic
from verydeep.errors import ConfigError
from verydeep.run import Run
from verydeep.transfer.descriptors import Descriptors

NAMES, RECORD = "names", "record"  # beside the layers


def write(path: Path, found: Descriptors, *, names: list[str], run: Run) -> dict[str, Any]:
    """Write descriptors, and return their record.

    Args:
        path: Is written whole or not at all, over what is there.
        found: The descriptors of the files in `names`.
        names: Of all files, the unreadable ones too.
        run: That they are of.

    Raises:
        ConfigError: code OUT, there is no such folder.
        ResourceError: the disk is full or refuses.
    """
    refuse_place(path)
    record = record_of(found, names=names, run=run)
    buffer = io.BytesIO()
    arrays: Mapping[str, Any] = {
        NAMES: np.array([names[image] for image in found.images], dtype=np.str_),
        RECORD: np.array(json.dumps(record)),
        **found.arrays,
    }
    np.savez(buffer, allow_pickle=False, **arrays)
    write_atomic(path, buffer.getvalue())
    return record


def refuse_place(path: Path) -> None:
    """Refuse a file that cannot be made, before anything is computed.

    Raises:
        ConfigError: code OUT.
    """
    if not path.parent.is_dir() or path.is_dir():
        why = "it is a folder" if path.is_dir() else f"there is no folder {path.parent}"
        raise ConfigError(f"--out {path} cannot be written: {why}", code="OUT", hint="Choose another name.")


def to_text(path: Path, record: Mapping[str, Any]) -> str:
    """What was written, for a terminal."""
    layers = (f"{layer} {'x'.join(map(str, shape))}" for layer, shape in record["layers"].items())
    scales = ", ".join(map(str, record["scales"]))
    lines = [f"{path}: {record['images']} images, {', '.join(layers)}; scales {scales}"]
    return "\n".join([*lines, *(f"error: {entry['error']}" for entry in record["unreadable"])])


def record_of(found: Descriptors, *, names: list[str], run: Run) -> dict[str, Any]:
    """What was done, as JSON values."""
    return {
        "network": run.network.name,
        "layers": {layer: list(array.shape[1:]) for layer, array in found.arrays.items()},
        **found.aggregation.to_json(),
        "preprocessing": found.preprocessing.to_json(),
        "engine": found.engine,
        "images": len(found.images),
        "unreadable": [{"path": names[image], "error": error} for image, error in found.unreadable.items()],
    }
