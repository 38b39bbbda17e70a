"""Reading a .caffemodel, without Caffe: a Protocol Buffers message of which only names, types and blobs are looked at.

The numbers of fields are those of caffe.proto (github.com/BVLC/caffe); three generations of layers are in use. The
messages that matter lie at most four deep, and nothing else is entered, so that nesting costs nothing
(protobuf.dev/programming-guides/encoding).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
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

MOST_LAYERS = 10_000
MOST_BLOBS = 16  # of one layer
MOST_AXES = 8
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
    blobs: tuple[Array, ...]


def parse(file: BinaryIO) -> tuple[dict[str, Array], dict[str, Any]]:
    """The blobs as ``<layer>/<number>``, float32 or float64 in Caffe's axes; ``about["layers"]`` is (name, type) pairs.

    Raises:
        WeightsError: it is no whole NetParameter, a layer needs Python code, or blobs contradict themselves.
    """
    arrays: dict[str, Array] = {}
    layers: list[list[str]] = []
    for field in _fields(memoryview(file.read())):
        if field.number == V1_LAYERS:
            layer = _v1_layer(_message(field))
        elif field.number == LAYER:
            layer = _layer(_message(field), name=1, kind=2, blobs=7)
        elif field.number in NET_FIELDS:
            continue
        else:
            raise refusals.damaged(f"a Caffe model has no field {field.number}")
        if layer.kind == "Python":
            raise refusals.code(f"contains code (the Python layer {layer.name})")
        layers.append([layer.name, layer.kind])
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
    outer = _layer(message, name=4, kind=5, blobs=6)
    if not oldest:
        return outer
    if len(oldest) > 1 or outer.blobs:
        raise refusals.damaged("a layer is described in two ways")
    return _layer(_message(oldest[0]), name=1, kind=2, blobs=50)


def _layer(message: memoryview, *, name: int, kind: int, blobs: int) -> Layer:
    """The layer in this message, whose name, type and blobs have these field numbers."""
    names, kinds, arrays = "", "", list[Array]()
    for field in _fields(message):
        if field.number == name:
            names = _text(field)
        elif field.number == kind:
            kinds = V1_TYPES.get(field.integer, str(field.integer)) if field.wire == VARINT else _text(field)
        elif field.number == blobs:
            arrays.append(_blob(_message(field), of=names or "a layer"))
            if len(arrays) > MOST_BLOBS:
                raise refusals.damaged(f"{names or 'a layer'} has more than {MOST_BLOBS} blobs")
    return Layer(names, V0_TYPES.get(kinds, kinds), tuple(arrays))


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
    """The lengths in a BlobShape, packed or not."""
    lengths: list[int] = []
    for field in _fields(message):
        if field.number != 1:
            continue
        if field.wire == VARINT:
            lengths.append(field.integer)
        else:
            place = 0
            while place < len(field.content) and len(lengths) <= MOST_AXES:
                length, place = _varint(field.content, place)
                lengths.append(length)
        if len(lengths) > MOST_AXES:
            raise refusals.damaged(f"a blob has more than {MOST_AXES} axes")
    return lengths


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
