"""A network as a .keras file, preprocessing and class names inside; Keras alone loads it, with any of its backends.

model = keras.saving.load_model("model.keras")
names = json.loads(zipfile.ZipFile("model.keras").read("classes.json"))
"""

import verydeep.backends.before_tensorflow  # noqa: F401 # isort: skip
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np

from verydeep.backends import keras3
from verydeep.deploy.bundle import Bundle
from verydeep.deploy.formats import Float32, Runner, Size
from verydeep.errors import ConfigError


def write(bundle: Bundle, path: Path, *, size: Size) -> None:
    """Write a model of images (n, height, width, channels), made of Keras's own layers.

    The file is a zip: beside Keras's members lie `verydeep.json` (the description), `preprocessing.json` and
    `classes.json`, which Keras passes over.

    Raises:
        ConfigError: a layer means something that no layer of Keras's does.
    """
    del size  # a network without Flatten takes any
    model = keras3.for_export(keras3.build(bundle.network, bundle.weights))
    own = [layer.name for layer in model.layers if type(layer).__module__.startswith("verydeep")]
    if own:
        raise ConfigError(
            f"Keras has no layer that computes {', '.join(own)} of {bundle.network.name}",
            code="EXPORT-NETWORK",
            hint="Export it with --size fixed, or to ONNX.",
        )
    model.save(path)
    with zipfile.ZipFile(path, "a") as file:
        for name, text in bundle.described().items():
            file.writestr(f"{name}.json", text)


def runner(path: Path) -> Runner:
    """Logits by Keras, on the backend that it runs on here."""
    model: Any = keras.saving.load_model(path, compile=False)

    def run(images: Float32) -> Float32:
        logits: Any = keras.ops.convert_to_numpy(
            model(np.ascontiguousarray(images.transpose(0, 2, 3, 1)), training=False)
        )
        return logits.transpose(0, 3, 1, 2) if logits.ndim == 4 else logits

    return run
