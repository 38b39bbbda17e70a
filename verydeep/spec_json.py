"""The exact text form of a network: JSON with a schema number, read back strictly."""

import json
from dataclasses import fields
from difflib import get_close_matches
from typing import Any, cast

from verydeep.errors import SpecError
from verydeep.spec import (
    LRN,
    BatchNorm,
    Block,
    Conv,
    Dropout,
    Flatten,
    Layer,
    Linear,
    Network,
    PadChannels,
    Parallel,
    Pool,
    ReLU,
    Tanh,
)

SCHEMA = 1

KINDS: dict[str, type[Layer]] = {
    "Conv": Conv,
    "Pool": Pool,
    "Linear": Linear,
    "BatchNorm": BatchNorm,
    "ReLU": ReLU,
    "Tanh": Tanh,
    "Dropout": Dropout,
    "LRN": LRN,
    "Flatten": Flatten,
    "PadChannels": PadChannels,
    "Parallel": Parallel,
}


def dumps(network: Network, *, indent: int | None = None) -> str:
    """The network as JSON text; `loads` gives back an equal network."""
    return json.dumps(to_json(network), indent=indent)


def loads(text: str) -> Network:
    """The network that `dumps` wrote.

    Raises:
        SpecError: not JSON, an unknown key or kind, a newer schema, or a network that cannot exist.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:  # ValueError also for a number of too many digits
        raise SpecError(f"this is not the text of a network: {error}") from None
    return from_json(value)


def to_json(network: Network) -> dict[str, Any]:
    """The network as JSON values."""
    return {
        "schema": SCHEMA,
        "name": network.name,
        "input": list(network.input),
        "source": network.source,
        "notes": list(network.notes),
        "blocks": [
            {"name": block.name, "layers": [_layer_to_json(layer) for layer in block.layers]}
            for block in network.blocks
        ],
    }


def from_json(value: Any) -> Network:
    """The network that `to_json` wrote; SpecError as in `loads`."""
    try:
        return _network_from_json(value)
    except RecursionError:
        raise SpecError("this network is nested too deeply") from None


def _network_from_json(value: Any) -> Network:
    record = _record(value, "a network", ("schema", "name", "input", "source", "notes", "blocks"))
    schema = record["schema"]
    if not isinstance(schema, int) or isinstance(schema, bool) or schema < 1:
        raise SpecError(f"schema must be a whole number of at least 1, not {schema!r}")
    if schema > SCHEMA:
        raise SpecError(
            f"this network is written in schema {schema}, newer than {SCHEMA}", hint="Install a newer verydeep."
        )
    return Network(
        name=_text(record["name"], "name"),
        input=tuple(_list(record["input"], "input")),
        blocks=tuple(_block_from_json(block) for block in _list(record["blocks"], "blocks")),
        source=_text(record["source"], "source"),
        notes=tuple(_text(note, "notes") for note in _list(record["notes"], "notes")),
    )


def _block_from_json(value: Any) -> Block:
    record = _record(value, "a block", ("name", "layers"))
    return Block(record["name"], tuple(_layer_from_json(layer) for layer in _list(record["layers"], "layers")))


def _layer_to_json(layer: Layer) -> dict[str, Any]:
    record: dict[str, Any] = {"kind": type(layer).__name__}
    for field in fields(layer):
        record[field.name] = _thaw(getattr(layer, field.name))
    if isinstance(layer, Parallel):
        record["paths"] = [[_layer_to_json(inner) for inner in path] for path in layer.paths]
    return record


def _layer_from_json(value: Any) -> Layer:
    kind = cast("dict[str, Any]", value).get("kind") if isinstance(value, dict) else None
    if not isinstance(kind, str) or kind not in KINDS:
        near = get_close_matches(str(kind), KINDS, n=1)
        raise SpecError(f"{kind!r} is no kind of layer", hint=f"Did you mean {near[0]}?" if near else "")
    names = tuple(field.name for field in fields(KINDS[kind]))
    record = _record(value, kind, ("kind", *names))
    arguments = {name: _freeze(record[name]) for name in names}
    if kind == "Parallel":
        arguments["paths"] = tuple(
            tuple(_layer_from_json(inner) for inner in _list(path, "paths")) for path in _list(record["paths"], "paths")
        )
    return KINDS[kind](**arguments)


def _record(value: Any, what: str, keys: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise SpecError(f"{what} is written as an object, not {value!r:.80}")
    record = cast("dict[str, Any]", value)
    for key in record:
        if key not in keys:
            near = get_close_matches(key, keys, n=1)
            raise SpecError(f"{what} has no {key!r}", hint=f"Did you mean {near[0]!r}?" if near else "")
    for key in keys:
        if key not in record:
            raise SpecError(f"{what} lacks its {key!r}")
    return record


def _list(value: Any, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise SpecError(f"{what} is written as a list, not {value!r:.80}")
    return cast("list[Any]", value)


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise SpecError(f"{what} is text, not {value!r:.80}")
    return value


def _freeze(value: Any) -> Any:
    return tuple(_freeze(item) for item in cast("list[Any]", value)) if isinstance(value, list) else value


def _thaw(value: Any) -> Any:
    return [_thaw(item) for item in cast("tuple[Any, ...]", value)] if isinstance(value, tuple) else value
