"""Caffe models that are too deep, cut short, contradictory, or bring code."""

import struct
from functools import cache

from tests.untrusted.corpus.protobuf import (
    blob,
    field,
    integer,
    layer,
    new_shape,
    old_blob,
    unpacked,
    v0_layer,
    v1_layer,
    varint,
)
from tests.untrusted.corpus.valid import BIAS, KERNEL

NAME = field(1, b"VGG")


def shape(*lengths: int) -> bytes:
    """A BlobShape of any lengths."""
    return field(7, field(1, b"".join(map(varint, lengths))))


def _deep(depth: int, number: int) -> bytes:
    inside = b""
    for _ in range(depth):
        inside = field(number, inside)
    return inside


@cache
def hostile() -> dict[str, bytes]:
    """Files by what is wrong with them."""
    data = field(5, KERNEL.tobytes())
    sound = layer("conv1_1", blob(KERNEL), blob(BIAS))
    return {
        "2 GB announced": NAME + varint(100 << 3 | 2) + varint(2**31) + sound,
        "2**63 announced": NAME + varint(100 << 3 | 2) + varint(2**63) + sound,
        "2 GB announced inside": NAME + field(100, field(1, b"a") + varint(7 << 3 | 2) + varint(2**31)),
        "cut short": (NAME + sound)[:-1],
        "cut within a length": NAME + varint(100 << 3 | 2) + b"\xff",
        "a number of eleven bytes": NAME + varint(100 << 3 | 2) + b"\xff" * 10 + b"\x01",
        "a group": NAME + varint(100 << 3 | 3) + sound,
        "an end of a group": NAME + sound + varint(100 << 3 | 4),
        "wire type 6": NAME + sound + varint(9 << 3 | 6),
        "wire type 7": NAME + field(100, varint(9 << 3 | 7)),
        "field 0": NAME + sound + field(0, b""),
        "an unknown field of the net": NAME + sound + field(99, b"x"),
        "a field number of 2**29": NAME + sound + field(2**29 - 1, b"x"),
        "a layer that is a number": NAME + integer(100, 5),
        "a blob that is a number": NAME + field(100, field(1, b"a") + integer(7, 5)),
        "numbers that are one number": NAME + layer("a", shape(1) + integer(5, 7)),
        "more claimed than stored": NAME + layer("a", shape(4, 3, 3, 4) + data),
        "fewer claimed than stored": NAME + layer("a", shape(4, 3, 3, 2) + data),
        "2**62 claimed": NAME + layer("a", shape(2**31, 2**31) + data),
        "a product that overflows": NAME + layer("a", shape(2**32, 2**32, 108) + data),
        "a negative length": NAME + layer("a", shape(2**64 - 4, 2**64 - 27) + data),
        "twenty axes": NAME + layer("a", shape(*(1,) * 19, 108) + data),
        "a million axes": NAME + layer("a", shape(*(1,) * 1_000_000) + field(5, bytes(4))),
        "two shapes": NAME + layer("a", new_shape(KERNEL) + new_shape(KERNEL) + data),
        "single and double": NAME + layer("a", shape(1) + field(5, bytes(4)) + field(8, bytes(8))),
        "half a number": NAME + layer("a", shape(1) + field(5, bytes(6))),
        "numbers without shape": NAME + layer("a", data),
        "shape without numbers": NAME + layer("a", new_shape(KERNEL)),
        "numbers one by one, cut": NAME + layer("a", shape(4) + unpacked(5, BIAS)[:-2]),
        "numbers of two widths": NAME + layer("a", shape(2) + varint(5 << 3 | 1) + struct.pack("<d", 1.0)),
        "a name twice": NAME + sound + sound,
        "a thousand blobs": NAME + layer("a", *[blob(BIAS)] * 1000),
        "20,000 layers": NAME + b"".join(layer(f"l{number}") for number in range(20_000)) + sound,
        "a name that is no text": NAME + field(100, field(1, b"\xff\xfe\n") + field(7, blob(BIAS))),
        "a name of a megabyte": NAME + layer("a" * 1_000_000, blob(BIAS)),
        "a Python layer": NAME + layer("evil", kind="Python") + sound,
        "a Python layer with its module": NAME
        + field(100, field(1, b"evil") + field(2, b"Python") + field(130, field(1, b"os") + field(2, b"system"))),
        "a layer of both kinds": NAME
        + field(2, field(1, field(1, b"a") + field(50, old_blob(BIAS))) + field(6, old_blob(BIAS))),
        "two oldest layers in one": NAME + field(2, field(1, b"") + field(1, b"")),
        "a solver's state": integer(1, 5000) + field(2, b"net.caffemodel") + field(3, blob(BIAS)),
        "a mean image alone": blob(KERNEL),
    }


@cache
def harmless() -> dict[str, bytes]:
    """Odd files of which the blobs are sound: conv1_1/0 is KERNEL and conv1_1/1 is BIAS."""
    kernel, bias = blob(KERNEL), blob(BIAS)
    last = field(7, bias)
    return {
        "depth 10,000 where nobody looks": NAME + field(6, _deep(10_000, 3)) + layer("conv1_1", kernel, bias),
        "depth 10,000 in a layer": NAME
        + field(100, field(1, b"conv1_1") + _deep(10_000, 106) + field(7, kernel) + last),
        "unknown fields in a layer": NAME
        + field(
            100, field(1, b"conv1_1") + field(9999, b"x" * 99) + integer(7777, 2**64 - 1) + field(7, kernel) + last
        ),
        "blobs before the name": NAME
        + field(100, field(7, kernel) + last + field(2, b"Convolution") + field(1, b"conv1_1")),
        "numbers before the shape": NAME + layer("conv1_1", field(5, KERNEL.tobytes()) + new_shape(KERNEL), bias),
        "numbers in parts": NAME
        + layer("conv1_1", field(5, KERNEL.tobytes()[:40]) + new_shape(KERNEL) + field(5, KERNEL.tobytes()[40:]), bias),
        "numbers one by one": NAME
        + layer("conv1_1", new_shape(KERNEL) + unpacked(5, KERNEL), new_shape(BIAS) + unpacked(5, BIAS)),
        "double numbers": NAME + layer("conv1_1", new_shape(KERNEL) + field(8, KERNEL.astype("<f8").tobytes()), bias),
        "gradients too": NAME + layer("conv1_1", kernel + field(6, KERNEL.tobytes()), bias),
        "an unpacked shape": NAME
        + layer("conv1_1", field(7, b"".join(integer(1, n) for n in KERNEL.shape)) + field(5, KERNEL.tobytes()), bias),
        "layers without blobs of one name": NAME + layer("data") + layer("data") + layer("conv1_1", kernel, bias),
        "the name behind": layer("conv1_1", kernel, bias) + NAME,
        "V1": NAME + v1_layer("conv1_1", old_blob(KERNEL), old_blob(BIAS)),
        "V0": NAME + v0_layer("conv1_1", old_blob(KERNEL), old_blob(BIAS)),
    }
