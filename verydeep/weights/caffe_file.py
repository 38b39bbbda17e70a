"""Reading a .caffemodel, without Caffe: names, types, windows and blobs in a Protocol Buffers message, nothing else.

The numbers of fields are those of caffe.proto (github.com/BVLC/caffe); three generations of layers are in use. The
messages that matter lie at most four deep, and nothing else is entered, so that nesting costs nothing
(protobuf.dev/programming-guides/encoding).
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from verydeep.errors import WeightsError
from verydeep.weights import refusals

Array = npt.NDArray[Any]

VARINT, EIGHT_BYTES, BYTES, FOUR_BYTES = 0, 1, 2, 5  # how a field's value is written: its wire type
WIRES = (VARINT, EIGHT_BYTES, BYTES, FOUR_BYTES)
WIDTHS = {EIGHT_BYTES: 8, FOUR_BYTES: 4}

V1_LAYERS, LAYER = 2, 100  # of NetParameter
NAME_TAG, LAYER_TAGS = 1 << 3 | BYTES, (V1_LAYERS << 3 | BYTES, LAYER << 3 | BYTES)  # how these fields begin
NET_FIELDS = range(1, 9)  # the others of NetParameter
V1_TYPES = {
    0: "None", 3: "Concat", 4: "Convolution", 5: "Data", 6: "Dropout", 8: "Flatten", 14: "InnerProduct", 15: "LRN",
    17: "Pooling", 18: "ReLU", 20: "Softmax", 21: "SoftmaxWithLoss", 22: "Split", 23: "TanH", 25: "Eltwise",
}  # fmt: skip
V0_TYPES = {"conv": "Convolution", "innerproduct": "InnerProduct", "relu": "ReLU", "pool": "Pooling", "lrn": "LRN"}

CONVOLUTION_FIELDS = {
    3: "pad", 4: "kernel", 5: "group", 6: "stride", 9: "pad_h", 10: "pad_w", 11: "kernel_h", 12: "kernel_w",
    13: "stride_h", 14: "stride_w", 18: "dilation",
}  # fmt: skip
POOLING_FIELDS = {
    1: "pool", 2: "kernel", 3: "stride", 4: "pad", 5: "kernel_h", 6: "kernel_w", 7: "stride_h", 8: "stride_w",
    9: "pad_h", 10: "pad_w", 12: "global",
}  # fmt: skip
PARAMETERS_2014 = {10: CONVOLUTION_FIELDS, 19: POOLING_FIELDS}  # the messages in a layer that hold them
PARAMETERS = {106: CONVOLUTION_FIELDS, 121: POOLING_FIELDS}
V0_FIELDS = {7: "pad", 8: "kernel", 9: "group", 10: "stride", 11: "pool"}  # of the layer itself
POOLS = {0: "MAX", 1: "AVE", 2: "STOCHASTIC"}

MOST_LAYERS = 10_000
MOST_BLOBS = 16  # of one layer
MOST_AXES = 8
MOST_SAID = 100  # numbers in the parameters of one layer
MOST_NAME = 500  # bytes


def is_net(head: bytes, size: int) -> bool:
    """Whether a file of `size` bytes that begins with `head` begins as a NetParameter does: with a name or a layer."""
    data = memoryview(head)
    try:
        tag, place = _varint(data, 0)
        length, place = _varint(data, place)
        if tag not in (NAME_TAG, *LAYER_TAGS) or length > size - place:
            return False
        if tag in LAYER_TAGS:
            inside, _ = _varint(data, place)
            return inside >> 3 > 0 and inside & 7 in WIRES
        following, _ = _varint(data, place + length)
        name = head[place : place + length]
        return following >> 3 in (*NET_FIELDS, LAYER) and name.isascii() and name.decode().isprintable()
    except WeightsError:
        return False


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a message: a whole number, or the bytes of its value."""

    number: int
    wire: int
    integer: int
    content: memoryview


@dataclass(frozen=True, slots=True)
class Layer:
    """What is looked at in a layer of any generation."""

    name: str
    kind: str
    options: dict[str, Any]  # of a convolution or pool, JSON
    blobs: tuple[Array, ...]


def parse(file: BinaryIO) -> tuple[dict[str, Array], dict[str, Any]]:
    """The blobs as ``<layer>/<number>``, float32 or float64 in Caffe's axes; ``about["layers"]`` has each layer.

    That is name, type and options: of a convolution or pool the `kernel`, `stride`, `pad` and `dilation` in height and
    width, `group` and `pool`, with Caffe's defaults; none where the file has no parameters of the layer.

    Raises:
        WeightsError: it is no whole NetParameter, a layer needs Python code, or blobs contradict themselves.
    """
    arrays: dict[str, Array] = {}
    layers: list[list[Any]] = []
    for field in _fields(memoryview(file.read())):
        if field.number == V1_LAYERS:
            layer = _v1_layer(_message(field))
        elif field.number == LAYER:
            layer = _layer(_message(field), name=1, kind=2, blobs=7, parameters=PARAMETERS)
        elif field.number in NET_FIELDS:
            continue
        else:
            raise refusals.damaged(f"a Caffe model has no field {field.number}")
        if layer.kind == "Python":
            raise refusals.code(f"contains code (the Python layer {layer.name})")
        layers.append([layer.name, layer.kind, layer.options])
        if len(layers) > MOST_LAYERS:
            raise refusals.damaged(f"it has more than {MOST_LAYERS} layers")
        for number, blob in enumerate(layer.blobs):
            name = f"{layer.name}/{number}"
            if name in arrays:
                raise refusals.damaged(f"two layers with weights are called {layer.name}")
            arrays[name] = blob
    return arrays, {"layers": layers}


def _v1_layer(message: memoryview) -> Layer:
    """A layer of 2014, or around one of 2013."""
    oldest = [field for field in _fields(message) if field.number == 1]
    outer = _layer(message, name=4, kind=5, blobs=6, parameters=PARAMETERS_2014)
    if not oldest:
        return outer
    if len(oldest) > 1 or outer.blobs:
        raise refusals.damaged("a layer is described in two ways")
    found = _layer(_message(oldest[0]), name=1, kind=2, blobs=50, parameters={})
    said = _said(_message(oldest[0]), V0_FIELDS)
    return replace(found, options=_options(said) if "kernel" in said else {})


def _layer(
    message: memoryview, *, name: int, kind: int, blobs: int, parameters: Mapping[int, Mapping[int, str]]
) -> Layer:
    """The layer in this message, whose name, type, blobs and parameters have these field numbers."""
    names, kinds, options, arrays = "", "", dict[str, Any](), list[Array]()
    for field in _fields(message):
        if field.number == name:
            names = _text(field)
        elif field.number == kind:
            kinds = V1_TYPES.get(field.integer, str(field.integer)) if field.wire == VARINT else _text(field)
        elif field.number == blobs:
            arrays.append(_blob(_message(field), of=names or "a layer"))
            if len(arrays) > MOST_BLOBS:
                raise refusals.damaged(f"{names or 'a layer'} has more than {MOST_BLOBS} blobs")
        elif field.number in parameters:
            options |= _options(_said(_message(field), parameters[field.number]))
    return Layer(names, V0_TYPES.get(kinds, kinds), options, tuple(arrays))


def _said(message: memoryview, fields: Mapping[int, str]) -> dict[str, list[int]]:
    """The whole numbers in these fields of a message, by name."""
    said: dict[str, list[int]] = {}
    for field in _fields(message):
        if field.number in fields:
            said.setdefault(fields[field.number], []).extend(_whole_numbers(field, most=MOST_SAID))
    return said


def _options(said: Mapping[str, list[int]]) -> dict[str, Any]:
    """What these parameters mean, with Caffe's defaults for those that are not there."""
    options: dict[str, Any] = {"group": said.get("group", [1])[-1]}
    for name, default in (("kernel", 0), ("stride", 1), ("pad", 0), ("dilation", 1)):
        both = said.get(name) or [default]
        options[name] = [said.get(f"{name}_h", both)[0], said.get(f"{name}_w", both)[-1]]
    pool = said.get("pool", [0])[-1]
    options["pool"] = POOLS.get(pool, str(pool))
    return options | ({"kernel": "global"} if any(said.get("global", ())) else {})


def _blob(message: memoryview, *, of: str) -> Array:
    """The values of a BlobProto in its shape; the old four lengths count where there is no new shape."""
    old = [0, 0, 0, 0]  # num, channels, height, width
    shapes: list[list[int]] = []
    single: list[Array] = []
    double: list[Array] = []
    for field in _fields(message):
        if field.number in (1, 2, 3, 4) and field.wire == VARINT:
            old[field.number - 1] = field.integer
        elif field.number == 5:
            single.append(_numbers(field, "<f4"))
        elif field.number == 7:
            shapes.append(_shape(_message(field)))
        elif field.number == 8:
            double.append(_numbers(field, "<f8"))
    if len(shapes) > 1 or (single and double):
        raise refusals.damaged(f"a blob of {of} is described in two ways")
    parts = single or double or [np.empty(0, "<f4")]
    values = parts[0] if len(parts) == 1 else np.concatenate(parts)
    shape = shapes[0] if shapes else old
    if math.prod(shape) != values.size:
        raise refusals.damaged(f"a blob of {of} has {values.size} numbers, not {' x '.join(map(str, shape))}")
    return values.reshape(shape)


def _shape(message: memoryview) -> list[int]:
    """The lengths in a BlobShape."""
    lengths: list[int] = []
    for field in _fields(message):
        if field.number == 1:
            lengths.extend(_whole_numbers(field, most=MOST_AXES))
        if len(lengths) > MOST_AXES:
            raise refusals.damaged(f"a blob has more than {MOST_AXES} axes")
    return lengths


def _whole_numbers(field: Field, *, most: int) -> list[int]:
    """The whole number in a field, or those that are packed in it, at most one more than `most`."""
    if field.wire == VARINT:
        return [field.integer]
    numbers: list[int] = []
    place = 0
    while place < len(field.content) and len(numbers) <= most:
        number, place = _varint(field.content, place)
        numbers.append(number)
    return numbers


def _numbers(field: Field, dtype: str) -> Array:
    """Packed numbers, or those that stand one by one as `_fields` gives them, without a copy."""
    width = int(dtype[2:])
    if field.wire not in (BYTES, {4: FOUR_BYTES, 8: EIGHT_BYTES}[width]):
        raise refusals.damaged("the numbers of a blob are not written as numbers")
    if len(field.content) % width:
        raise refusals.damaged("the numbers of a blob end within a number")
    return np.frombuffer(field.content, dtype)


def _text(field: Field) -> str:
    content = _message(field)
    text = bytes(content[:MOST_NAME]).decode("utf-8", "replace")
    if len(content) > MOST_NAME or not text.isprintable():
        raise refusals.damaged("the name or type of a layer cannot be one")
    return text


def _message(field: Field) -> memoryview:
    if field.wire != BYTES:
        raise refusals.damaged(f"field {field.number} of a Caffe model is not written as it must be")
    return field.content


def _fields(message: memoryview) -> Iterator[Field]:
    """The fields one after the other; a run of numbers that stand one by one (not packed) comes as one field."""
    place, nothing = 0, message[:0]
    while place < len(message):
        begin = place
        tag, place = _varint(message, place)
        number, wire = tag >> 3, tag & 7
        if wire == VARINT:
            integer, place = _varint(message, place)
            yield Field(number, wire, integer, nothing)
        elif wire in WIDTHS:
            run = _run(message[begin:], tag=bytes(message[begin:place]), width=WIDTHS[wire])
            yield Field(number, wire, 0, memoryview(run.tobytes()))
            place = begin + len(run) * (place - begin + WIDTHS[wire])
        elif wire == BYTES:
            length, place = _varint(message, place)
            if length > len(message) - place:
                raise refusals.damaged(f"a Caffe model ends {length - (len(message) - place)} bytes too early")
            yield Field(number, wire, 0, message[place : place + length])
            place += length
        else:
            raise refusals.damaged(f"a Caffe model has no values of wire type {wire}")


def _run(message: memoryview, *, tag: bytes, width: int) -> Array:
    """The values at the beginning of `message` that each stand behind the same tag."""
    step = len(tag) + width
    most = len(message) // step
    if not most:
        raise refusals.damaged("a Caffe model is cut short")
    table = np.frombuffer(message, np.uint8, count=most * step).reshape(most, step)
    count, window = 0, 64
    while count < most:  # in growing windows: a short run in a long message costs little
        part = table[count : count + window, : len(tag)]
        others = np.flatnonzero((part != np.frombuffer(tag, np.uint8)).any(axis=1))
        if len(others):
            count += int(others[0])
            break
        count, window = count + len(part), window * 2
    return table[:count, len(tag) :]


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    """The whole number at `place`, below 2**64, and where the next field begins."""
    value = 0
    for position, byte in enumerate(message[place : place + 10]):
        value |= (byte & 0x7F) << (7 * position)
        if byte < 0x80:
            return value, place + position + 1
    raise refusals.damaged("a Caffe model is cut short, or holds a number that cannot be")
