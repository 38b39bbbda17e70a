"""Reading a .keras file: a zip of config.json, metadata.json and the weights as HDF5. Keras is never imported.

Our own export (verydeep/deploy/to_keras.py) adds three members, which say how images become input and what the outputs
are called.
"""

import json
from typing import Any, BinaryIO, cast

from verydeep.weights import archive, hdf5_file, keras_config, refusals
from verydeep.weights.window import Window

WEIGHTS, CONFIG, METADATA = "model.weights.h5", "config.json", "metadata.json"
OURS = ("verydeep.json", PREPROCESSING := "preprocessing.json", CLASSES := "classes.json")


def parse(file: BinaryIO) -> tuple[dict[str, Any], dict[str, Any]]:
    """The weights under their paths inside model.weights.h5; "config", and of our exports "preprocessing", "classes".

    Raises:
        WeightsError: the archive or the HDF5 file in it is not plain, or the description brings code.
    """
    members = archive.members(file)
    for name in members:
        if name not in (WEIGHTS, CONFIG, METADATA, *OURS) and not name.startswith("assets/"):
            raise refusals.damaged(f"its archive holds {name[:80]}, which Keras does not write")
    archive.verify(file, members.values())
    weights = Window(file, start=members[WEIGHTS].start, size=members[WEIGHTS].size)
    arrays, _ = hdf5_file.parse(cast("BinaryIO", weights))
    about: dict[str, Any] = {
        key: keras_config.parse(archive.content(file, members[name]))
        for key, name in (("config", CONFIG), ("preprocessing", PREPROCESSING))
        if name in members
    }
    if CLASSES in members:
        about["classes"] = _names(archive.content(file, members[CLASSES]))
    return arrays, about


def _names(content: bytes) -> list[str]:
    try:
        names = json.loads(content.decode())
    except (ValueError, RecursionError):
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in cast("list[Any]", names)):
        raise refusals.damaged(f"{CLASSES} is no list of names")
    return cast("list[str]", names)
