"""The JSON in which Keras describes a model: data for us, and refused where it brings or names code."""

import json
from typing import Any, cast

from verydeep.weights import refusals

OURS = ("keras", "keras_hub", "keras_nlp", "keras_cv", "tf_keras", "tensorflow", "builtins")


def parse(text: str | bytes) -> dict[str, Any]:
    """The description as it stands; nothing in it is looked up or made.

    Raises:
        WeightsError: it is no JSON object, has a Lambda layer, or names classes outside Keras.
    """
    try:
        config = json.loads(text if isinstance(text, str) else text.decode())
    except (ValueError, RecursionError):
        raise refusals.damaged("the description of its model is no JSON") from None
    if not isinstance(config, dict):
        raise refusals.damaged("the description of its model is no JSON object")
    waiting: list[Any] = [config]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting.extend(cast("list[Any]", value))
        elif isinstance(value, dict):
            entry = cast("dict[str, Any]", value)
            _refuse_code(entry)
            waiting.extend(entry.values())
    return cast("dict[str, Any]", config)


def _refuse_code(entry: dict[str, Any]) -> None:
    kind = entry.get("class_name")
    if kind in ("Lambda", "__lambda__"):
        raise refusals.code("contains code (a Keras Lambda layer)")
    module = entry.get("module")
    if isinstance(module, str) and module.startswith("verydeep."):
        raise refusals.code("is of a Keras model of ours (in Keras, vd.get_weights(model) gives its weights)")
    if isinstance(module, str) and module.partition(".")[0] not in OURS:
        raise refusals.code(f"names code outside Keras ({module[:80]})")
