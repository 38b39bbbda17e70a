"""Reading a .keras file: a zip of config.json, metadata.json and the weights as HDF5. Keras is never imported."""

from typing import Any, BinaryIO, cast

from verydeep.weights import archive, hdf5_file, keras_config, refusals
from verydeep.weights.window import Window

WEIGHTS, CONFIG, METADATA = "model.weights.h5", "config.json", "metadata.json"


def parse(file: BinaryIO) -> tuple[dict[str, Any], dict[str, Any]]:
    """The weights under their paths inside model.weights.h5; the description of the model under "config".

    Raises:
        WeightsError: the archive or the HDF5 file in it is not plain, or the description brings code.
    """
    members = archive.members(file)
    for name in members:
        if name not in (WEIGHTS, CONFIG, METADATA) and not name.startswith("assets/"):
            raise refusals.damaged(f"its archive holds {name[:80]}, which Keras does not write")
    archive.verify(file, members.values())
    weights = Window(file, start=members[WEIGHTS].start, size=members[WEIGHTS].size)
    arrays, _ = hdf5_file.parse(cast("BinaryIO", weights))
    about = {
        key: keras_config.parse(archive.content(file, members[name]))
        for key, name in (("config", CONFIG), ("metadata", METADATA))
        if name in members
    }
    return arrays, about
