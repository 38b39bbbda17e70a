"""Writing Protocol Buffers by hand: the pieces of a .caffemodel, sound or not."""

import struct

import numpy as np

V1_CONVOLUTION = 4


def varint(value: int) -> bytes:
    """A whole number below 2**64, seven bits a byte."""
    found = bytearray()
    while True:
        found.append(value & 0x7F | (0x80 if value > 0x7F else 0))
        value >>= 7
        if not value:
            return bytes(found)


def field(number: int, content: bytes) -> bytes:
    """Bytes, a text or a message."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def integer(number: int, value: int) -> bytes:
    """A whole number."""
    return varint(number << 3) + varint(value)


def unpacked(number: int, array: np.ndarray) -> bytes:
    """Single-precision numbers that stand one by one."""
    tag = varint(number << 3 | 5)
    return b"".join(tag + struct.pack("<f", value) for value in array.ravel())


def new_shape(array: np.ndarray) -> bytes:
    """The shape as Caffe of 2015 writes it."""
    return field(7, field(1, b"".join(map(varint, array.shape))))


def old_shape(array: np.ndarray) -> bytes:
    """num, channels, height and width."""
    lengths = (1,) * (4 - array.ndim) + array.shape
    return b"".join(integer(number, length) for number, length in enumerate(lengths, start=1))


def blob(array: np.ndarray) -> bytes:
    """A BlobProto as Caffe writes it today."""
    return new_shape(array) + field(5, array.astype("<f4").tobytes())


def old_blob(array: np.ndarray) -> bytes:
    """A BlobProto of 2014."""
    return old_shape(array) + field(5, array.astype("<f4").tobytes())


def layer(name: str, *blobs: bytes, kind: str = "Convolution") -> bytes:
    """A layer of NetParameter."""
    inside = field(1, name.encode()) + field(2, kind.encode()) + b"".join(field(7, blob) for blob in blobs)
    return field(100, inside)


def v1_layer(name: str, *blobs: bytes, kind: int = V1_CONVOLUTION) -> bytes:
    """A layer of 2014, as in the published VGG_ILSVRC_16_layers.caffemodel."""
    return field(2, field(4, name.encode()) + integer(5, kind) + b"".join(field(6, blob) for blob in blobs))


def v0_layer(name: str, *blobs: bytes, kind: str = "conv") -> bytes:
    """A layer of 2013."""
    inside = field(1, name.encode()) + field(2, kind.encode()) + b"".join(field(50, blob) for blob in blobs)
    return field(2, field(1, inside))
