"""Weights from anywhere into a built model: the format is found by content, and all goes in or nothing."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from verydeep.backends.catalog import network_of, set_weights
from verydeep.weights.importing import Imported, import_weights


def load_weights(
    model: Any,
    source: str | Path | Mapping[str, Any],
    *,
    format: str | None = None,
    classes: int | None = None,
    seed: int = 0,
) -> Imported:
    """Put the weights in `source` into a model of any backend; return them with their preprocessing and class names.

    Args:
        model: What a build gave.
        source: A file, whose kind is found by content and never by its name; or arrays or tensors by key. float16 and
            bfloat16 are taken exactly, float64 is rounded to float32.
        format: A name in `verydeep.weights.formats.FORMATS`; None finds it by the names of the arrays.
        classes: The model's number of classes, where the file has another and the last layer is to be drawn anew.
        seed: Of that last layer.

    Raises:
        ConfigError: no format has this name, or the model is not what `build` gave.
        WeightsError: the source is unreadable, needs code to be read or does not fit; the model is unchanged.
    """
    network = network_of(model)
    imported = import_weights(source, network, format=format, classes=classes, seed=seed)
    set_weights(model, imported.weights)
    return imported
