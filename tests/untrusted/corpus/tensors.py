"""State dicts whose tensors claim what is not there; written with the words of pickle, because PyTorch would not."""

import pickle
import struct
from functools import cache
from typing import Any

from tests.untrusted.corpus.pickles import torch_zip

BYTES = bytes(48)  # 12 single-precision numbers


def number(value: int) -> bytes:
    """A whole number of any size."""
    length = (value.bit_length() + 8) // 8
    return b"\x8a" + bytes([length]) + value.to_bytes(length, "little", signed=True)


def row(values: tuple[int, ...]) -> bytes:
    """A tuple of whole numbers."""
    return b"(" + b"".join(map(number, values)) + b"t"


def tensor(
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    *,
    offset: int = 0,
    kind: str = "torch FloatStorage",
    count: int = 12,
    key: str = "0",
    call: str = "torch._utils _rebuild_tensor_v2",
    rest: bytes = b"\x89ccollections\nOrderedDict\n)R",
) -> bytes:
    """The words that make a tensor."""
    text = lambda word: b"X" + struct.pack("<I", len(word)) + word.encode()  # noqa: E731
    name = lambda word: b"c" + word.replace(" ", "\n").encode() + b"\n"  # noqa: E731
    storage = b"(" + text("storage") + name(kind) + text(key) + text("cpu") + number(count) + b"tQ"
    return name(call) + b"(" + storage + number(offset) + row(shape) + row(strides) + rest + b"tR"


def file(*tensors: bytes, data: bytes = BYTES, order: bytes = b"little") -> bytes:
    """A zip with these tensors, named t0.weight, t1.weight ..."""
    words = b"\x80\x02}"
    for position, value in enumerate(tensors):
        name = f"t{position}.weight".encode()
        words += b"X" + struct.pack("<I", len(name)) + name + value + b"s"
    return torch_zip(words + b".", {"data/0": data, "byteorder": order})


def older(value: bytes, *, keys: list[Any], tail: bytes) -> bytes:
    """The form before the zip, with this tensor, list of storages and bytes behind it."""
    first = [pickle.dumps(part, protocol=2) for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})]
    return b"".join([*first, b"\x80\x02}X\x01\x00\x00\x00a" + value + b"s.", pickle.dumps(keys, protocol=2), tail])


@cache
def lies() -> dict[str, bytes]:
    """Files by what is wrong with their tensor; each names t0.weight or storage 0, or is refused before."""
    one = tensor((3, 4), (4, 1))
    shapes = {
        "more than is stored": tensor((4, 4), (4, 1)),
        "stride 0": tensor((10**10,), (0,)),
        "stride 0 in a small shape": tensor((3, 4), (0, 1)),
        "a negative stride": tensor((3, 4), (4, -1), offset=3),
        "a negative length": tensor((-3, 4), (4, 1)),
        "a negative offset": tensor((3, 4), (4, 1), offset=-4),
        "an offset beyond": tensor((3, 4), (4, 1), offset=1),
        "overlapping rows": tensor((3, 4), (2, 1)),
        "overlapping windows": tensor((3, 3), (1, 1)),
        "equal strides": tensor((2, 2), (3, 3)),
        "2**63 rows": tensor((2**63, 1), (1, 1)),
        "2**64 in a product": tensor((2**32, 2**32), (0, 0)),
        "a product that overflows to 12": tensor((2**62 + 3, 4), (4, 1)),
        "one number at a stride of 2**62": tensor((1,), (2**62,)),
        "nothing at a stride of 2**62": tensor((0, 2), (1, 2**62)),
        "nothing of 2**63 rows": tensor((2**63, 0), (1, 1)),
        "2**40 of 0": tensor((2**40, 0, 2**40), (1, 1, 1), offset=13),
        "an offset of 2**63": tensor((1,), (1,), offset=2**63),
        "a stride of 2**62": tensor((3, 4), (2**62, 1)),
        "a hundred axes": tensor((1,) * 100, (1,) * 100),
        "fewer strides": tensor((3, 4), (1,)),
        "more strides": tensor((3,), (1, 1)),
        "numbers that are stored nowhere": tensor((3, 4), (4, 1), key="7"),
        "a key that climbs": tensor((3, 4), (4, 1), key="../../0"),
        "more stored than there is": tensor((3, 4), (4, 1), count=13),
        "fewer stored than there is": tensor((2, 4), (4, 1), count=8),
        "2**64 stored": tensor((3, 4), (4, 1), count=2**64),
        "2**40 stored": tensor((3, 4), (4, 1), count=2**40),
        "a negative count": tensor((3, 4), (4, 1), count=-12),
        "a negated view": tensor((3, 4), (4, 1), rest=b"\x89N}X\x03\x00\x00\x00neg\x88s"),
        "a conjugate view": tensor((3, 4), (4, 1), rest=b"\x89N}X\x04\x00\x00\x00conj\x88s"),
    }
    found = {name: file(words) for name, words in shapes.items()}
    for kind, width in (
        ("ComplexFloatStorage", 8),
        ("ComplexDoubleStorage", 16),
        ("QInt8Storage", 1),
        ("QUInt8Storage", 1),
        ("QInt32Storage", 4),
        ("UntypedStorage", 1),
        ("XStorage", 4),
    ):
        found[kind] = file(tensor((1,), (1,), kind=f"torch {kind}", count=48 // width))
    for call in (
        "_rebuild_qtensor",
        "_rebuild_sparse_tensor",
        "_rebuild_sparse_csr_tensor",
        "_rebuild_meta_tensor_no_storage",
        "_rebuild_wrapper_subclass",
        "_rebuild_nested_tensor",
        "_rebuild_device_tensor_from_numpy",
        "_rebuild_tensor_v3",
        "_rebuild_parameter_with_state",
    ):
        found[call] = file(tensor((3, 4), (4, 1), call=f"torch._utils {call}"))
    text = lambda word: b"X" + struct.pack("<I", len(word)) + word  # noqa: E731
    found |= {
        "a text for a tensor": file(text(b"weights")),
        "a number for a tensor": file(number(5)),
        "a list for a tensor": file(b"]"),
        "an object that is no storage": file(tensor((3, 4), (4, 1)).replace(b"tQ", b"t")),
        "two types for one storage": file(one, tensor((3, 2), (2, 1), kind="torch DoubleStorage", count=6)),
        "two counts for one storage": file(one, tensor((3, 2), (2, 1), count=6)),
        "the storage is cut": file(one, data=BYTES[:-1]),
        "the storage is longer": file(one, data=BYTES + b"\0"),
        "a call without its arguments": file(b"ctorch._utils\n_rebuild_tensor_v2\n)R"),
        "a storage that is called": file(b"ctorch\nFloatStorage\n(" + number(2**40) + b"tR"),
        "a shape that is a text": file(one.replace(row((3, 4)), text(b"34"), 1)),
        "lengths that are fractions": file(one.replace(number(3), b"G" + struct.pack(">d", 3.0), 1)),
        "a list of tensors": torch_zip(b"\x80\x02]" + one + b"a.", {"data/0": BYTES}),
        "older: no list of storages": older(one, keys=[], tail=struct.pack("<q", 12) + BYTES),
        "older: 2**64 stored": older(tensor((3, 4), (4, 1), count=2**64), keys=["0"], tail=bytes(8) + BYTES),
        "older: fewer than none stored": older(tensor((3, 4), (4, 1), count=-1), keys=["0"], tail=b"\xff" * 8 + BYTES),
        "older: keys that are lists": older(one, keys=[[]], tail=struct.pack("<q", 12) + BYTES),
        "older: a storage twice": older(one, keys=["0", "0"], tail=2 * (struct.pack("<q", 12) + BYTES)),
        "older: another count": older(one, keys=["0"], tail=struct.pack("<q", 13) + BYTES + bytes(4)),
        "older: a negative count": older(one, keys=["0"], tail=struct.pack("<q", -12) + BYTES),
        "older: cut short": older(one, keys=["0"], tail=struct.pack("<q", 12) + BYTES[:-1]),
        "older: it goes on": older(one, keys=["0"], tail=struct.pack("<q", 12) + BYTES + b"\0"),
        "older: 2**40 numbers": older(
            tensor((3,), (1,), count=2**40), keys=["0"], tail=struct.pack("<q", 2**40) + BYTES
        ),
    }
    return found
