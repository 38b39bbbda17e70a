"""Our own weight file: safetensors with canonical names, and in its header all that is needed to use the network."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, cast

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save as to_bytes

from verydeep import spec_json
from verydeep.durable import write_atomic
from verydeep.errors import ConfigError, SpecError, WeightsError
from verydeep.preprocessing import Preprocessing, from_json
from verydeep.spec import Network
from verydeep.weights import tensor_file
from verydeep.weights.fit import refuse_misfit, shapes
from verydeep.weights.numbers import Float32, as_float32

Array = npt.NDArray[Any]

SCHEMA = 1
KEY = "verydeep"  # the text in the file's header under which the record is found
AGAIN = "Copy or download the file again."
KEYS = ("schema", "network", "preprocessing", "classes", "extra")


@dataclass(frozen=True, slots=True, eq=False)
class WeightFile:
    """A trained network as it lies on disk."""

    network: Network
    weights: dict[str, Float32]  # canonical names, OIHW
    preprocessing: dict[str, Any] | None  # how images become input; None where nobody knows
    classes: tuple[str, ...]  # names in the order of the outputs; () where nobody knows
    extra: dict[str, Any]  # JSON: how it was trained


def save(
    path: Path,
    *,
    network: Network,
    weights: Mapping[str, Array],
    preprocessing: dict[str, Any] | None = None,
    classes: tuple[str, ...] = (),
    extra: dict[str, Any] | None = None,
) -> None:
    """Write the file whole and durably, or leave what was there; weights are stored as float32.

    The same content gives the same bytes. In `preprocessing` and `extra` a tuple comes back as a list.

    Raises:
        WeightsError: the weights are not those of `network` or not finite, `classes` are not as many as it has
            outputs, or a record is not JSON.
        ResourceError: the disk is full or refuses.
    """
    refuse_misfit(shapes(network), weights, of=network.name)
    _refuse_wrong_classes(classes, network)
    record = {
        "schema": SCHEMA,
        "network": spec_json.to_json(network),
        "preprocessing": preprocessing,
        "classes": list(classes),
        "extra": extra or {},
    }
    try:
        text = json.dumps(record, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise WeightsError(
            f"preprocessing or extra is not JSON: {error}",
            code="WEIGHTS-RECORD",
            hint="Use texts, finite numbers, lists and dicts.",
        ) from None
    tensors = {name: np.ascontiguousarray(as_float32(name, weights[name])) for name in shapes(network)}
    write_atomic(path, to_bytes(tensors, metadata={KEY: text}))


def load(path: Path) -> WeightFile:
    """Read what `save` wrote; float16, bfloat16 (exactly) and float64 (rounded) become float32.

    Raises:
        WeightsError: the file is no safetensors file, has no record or one of a newer schema, or its arrays are
            missing, unknown, of another shape or not finite.
    """
    text = tensor_file.texts(path).get(KEY)
    if text is None:
        raise WeightsError(
            f"{path} has no {KEY!r} record in its header: it is not a file of ours",
            code="WEIGHTS-NO-RECORD",
            hint="Build the network and use load_weights, which reads plain weights too.",
        )
    arrays = tensor_file.read(path)
    try:
        record = _parse(text)
        network = spec_json.from_json(record["network"])
        classes = tuple(record["classes"])
        _refuse_wrong_classes(classes, network)
        refuse_misfit(shapes(network), arrays, of=network.name)
        weights = {name: as_float32(name, arrays[name]) for name in shapes(network)}
    except (SpecError, WeightsError) as error:
        code = "WEIGHTS-RECORD" if isinstance(error, SpecError) else error.code
        raise WeightsError(f"{path}: {error.message}", code=code, hint=error.hint or AGAIN) from None
    return WeightFile(network, weights, record["preprocessing"], classes, record["extra"])


def preprocessing_of(network: Network, record: dict[str, Any] | None) -> Preprocessing | None:
    """How images become the network's input, as the file's own `record` says; None where nobody knows.

    Raises:
        WeightsError: the record is damaged, or makes another input than the network reads.
    """
    if record is None:
        return None
    try:
        found = from_json(record)
    except ConfigError as error:
        raise WeightsError(error.message, code="WEIGHTS-RECORD", hint=AGAIN) from None
    channels, *size = network.input
    if found.channels != channels or (found.crop == "center" and list(found.size) != size):
        made = " x ".join(map(str, (found.channels, *found.size)))
        raise _damaged(
            f"its preprocessing makes {made}, and the network reads {' x '.join(map(str, (channels, *size)))}"
        )
    return found


def _parse(text: str) -> dict[str, Any]:
    """The record, its schema and the types of its entries checked."""
    try:
        value = json.loads(text, object_pairs_hook=_without_repeats, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise _damaged(str(error)) from None
    if not isinstance(value, dict):
        raise _damaged(f"it is a {type(value).__name__}, not an object")
    record = cast("dict[str, Any]", value)
    schema = record.get("schema")
    if not isinstance(schema, int) or isinstance(schema, bool) or schema < 1:
        raise _damaged(f"schema is {schema!r:.40}, not a whole number of at least 1")
    if schema > SCHEMA:
        raise WeightsError(
            f"the record is written in schema {schema}, newer than {SCHEMA}",
            code="WEIGHTS-SCHEMA",
            hint="Install a newer verydeep.",
        )
    if difference := sorted(set(record) ^ set(KEYS)):
        raise _damaged(f"missing or unknown entries: {', '.join(difference)}")
    for key, kinds in (("preprocessing", (dict, type(None))), ("classes", (list,)), ("extra", (dict,))):
        if not isinstance(record[key], kinds):
            raise _damaged(f"{key} is {record[key]!r:.40}")
    return record


def _refuse_wrong_classes(classes: tuple[Any, ...], network: Network) -> None:
    if not all(isinstance(name, str) for name in classes):
        raise _damaged("class names are texts")
    if classes and (len(classes) != network.classes or len(set(classes)) != len(classes)):
        raise WeightsError(
            f"{len(set(classes))} different class names for the {network.classes} outputs of {network.name}",
            code="WEIGHTS-CLASSES",
            hint="Give one name for each output, or none at all.",
        )


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) != len(pairs):
        raise ValueError("a key is given twice")
    return record


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _damaged(why: str) -> WeightsError:
    return WeightsError(f"the {KEY!r} record is damaged: {why}", code="WEIGHTS-RECORD", hint=AGAIN)
