"""MATLAB files that are bombs, objects, of other versions, or no network at all."""

import io
import struct
import zlib
from functools import cache
from typing import Any

import h5py
import numpy as np
import scipy.io
import scipy.sparse

from tests.untrusted.corpus.valid import BIAS, KERNEL

HEADER = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"
INT8, UINT32, INT32, MATRIX, COMPRESSED, SINGLE = 1, 6, 5, 14, 15, 7
CELL, STRUCT, OBJECT, DOUBLE_CLASS, SINGLE_CLASS, FUNCTION, OPAQUE = 1, 2, 3, 6, 7, 16, 17


def element(kind: int, content: bytes, length: int | None = None) -> bytes:
    """A data element, padded to eight bytes."""
    return struct.pack("<II", kind, len(content) if length is None else length) + content + bytes(-len(content) % 8)


def matrix(kind: int, shape: tuple[int, ...], name: bytes, *parts: bytes) -> bytes:
    """A variable."""
    flags = element(UINT32, struct.pack("<II", kind, 0))
    lengths = element(INT32, struct.pack(f"<{len(shape)}i", *shape))
    return element(MATRIX, flags + lengths + element(INT8, name) + b"".join(parts))


def packed(content: bytes) -> bytes:
    """A variable as MATLAB 7 packs it; packed elements are not padded."""
    data = zlib.compress(content, 9)
    return struct.pack("<II", COMPRESSED, len(data)) + data


def saved(**options: Any) -> bytes:
    """What scipy.io.savemat writes of these variables."""
    file = io.BytesIO()
    scipy.io.savemat(file, options, do_compression=True)
    return file.getvalue()


def net(*weights: Any, name: Any = "conv1_1", kind: Any = "conv", count: int = 1) -> bytes:
    """A network of equal layers with these weights."""
    cell = np.empty((1, len(weights)), object)
    for position, weight in enumerate(weights):
        cell[0, position] = weight
    layers = np.empty((1, count), object)
    for position in range(count):
        layers[0, position] = {"name": name, "type": kind, "weights": cell}
    return saved(layers=layers)


def _nested(depth: int) -> bytes:
    inner = matrix(DOUBLE_CLASS, (0, 0), b"", element(9, b""))
    for _ in range(depth):
        inner = matrix(CELL, (1, 1), b"layers", inner)
    return inner


@cache
def hostile() -> dict[str, bytes]:
    """Files by what is wrong with them."""
    file = io.BytesIO()
    with h5py.File(file, "w", userblock_size=512) as root:
        root["layers"] = BIAS
    version_73 = bytearray(file.getvalue())
    version_73[:128] = b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM"
    fourth = io.BytesIO()
    scipy.io.savemat(fourth, {"layers": BIAS}, format="4")
    zeros = element(SINGLE, bytes(400_000_000))
    text = lambda word: element(INT8, word)  # noqa: E731
    return {
        "version 4": fourth.getvalue(),
        "version 7.3": bytes(version_73),
        "packed a thousand times": HEADER + packed(matrix(SINGLE_CLASS, (100_000_000, 1), b"layers", zeros)),
        "packed in packed": HEADER + packed(packed(packed(matrix(SINGLE_CLASS, (1, 1), b"layers", zeros[:72])))),
        "a function handle": HEADER + matrix(FUNCTION, (1, 1), b"layers", matrix(CELL, (0, 0), b"")),
        "a function handle in a cell": HEADER
        + matrix(CELL, (1, 1), b"layers", matrix(FUNCTION, (1, 1), b"", matrix(CELL, (0, 0), b""))),
        "an object": HEADER
        + matrix(OBJECT, (1, 1), b"layers", text(b"evil"), element(INT32, struct.pack("<i", 8)), text(b"")),
        "an opaque object": HEADER
        + element(
            MATRIX,
            element(UINT32, struct.pack("<II", OPAQUE, 0))
            + text(b"layers")
            + text(b"MCOS")
            + text(b"evil")
            + text(b""),
        ),
        "an unknown class": HEADER + matrix(99, (1, 1), b"layers", text(b"x")),
        "a negative length": HEADER + matrix(SINGLE_CLASS, (-1, 4), b"layers", element(SINGLE, bytes(16))),
        "more numbers than stored": HEADER
        + matrix(SINGLE_CLASS, (2**20, 2**10), b"layers", element(SINGLE, bytes(16))),
        "2**62 numbers": HEADER + matrix(SINGLE_CLASS, (2**31 - 1, 2**31 - 1), b"layers", element(SINGLE, bytes(16))),
        "2**31 cells": HEADER + matrix(CELL, (2**31 - 1, 1), b"layers"),
        "a struct of many": HEADER
        + matrix(STRUCT, (2**16, 2**14), b"layers", element(INT32, struct.pack("<i", 8)), text(b"name\0\0\0\0")),
        "fields of length 0": HEADER
        + matrix(STRUCT, (1, 1), b"layers", element(INT32, struct.pack("<i", 0)), text(b"name")),
        "an element beyond the end": HEADER + element(MATRIX, b"", length=2**31),
        "an element of 0 bytes": HEADER + element(MATRIX, b"") * 1000,
        "a thousand cells deep": HEADER + _nested(1000),
        "cells deep, packed": HEADER + packed(_nested(5000)),
        "a damaged stream": HEADER + struct.pack("<II", COMPRESSED, 400) + zlib.compress(bytes(900))[:8] + bytes(392),
        "only the header": HEADER,
        "nothing of MatConvNet": saved(a=BIAS),
        "layers that are numbers": saved(layers=BIAS, params=BIAS),
        "layers without names": saved(layers=np.array([{"weights": BIAS}], object)),
        "weights of text": net("evil"),
        "weights of structs": net({"a": BIAS}),
        "weights of cells": net(np.array([BIAS, "x"], object)),
        "complex weights": net(KERNEL.astype("c8")),
        "sparse weights": net(scipy.sparse.eye(4).tocsc()),
        "a name that is a number": net(BIAS, name=3),
        "a name with line breaks": net(BIAS, name="a\r\nb"),
        "a name of a million letters": net(BIAS, name="a" * 1_000_000),
        "a name twice": net(BIAS, count=2),
        "a type that is a cell": net(BIAS, kind=np.array(["a", 1], object)),
        "classes that are numbers": saved(
            layers=np.array([{"name": "a", "type": "conv", "weights": np.array([BIAS, BIAS], object)}], object),
            meta={"classes": {"description": np.array([1, "x"], object)}},
        ),
    }
