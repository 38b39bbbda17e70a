"""WTS-04: tensors that claim what is not stored, and numbers that are no ordinary ones."""

import re

import numpy as np
import pytest

from tests.untrusted.corpus.pickles import torch_zip
from tests.untrusted.corpus.tensors import BYTES, file, lies, older, tensor

MEGABYTE = 1_000_000


@pytest.mark.parametrize("name", list(lies()))
def test_a_lie_is_refused_before_anything_is_allocated(refused, name):
    reading = refused(lies()[name])
    assert reading.parent < 8 * MEGABYTE


@pytest.mark.parametrize(
    "name", [name for name in lies() if "stride" in name or "overlap" in name or "negative l" in name]
)
def test_the_refusal_names_the_tensor(refused, name):
    assert re.search(r"t0\.weight|its pickle", refused(lies()[name]).error)


def test_true_tensors_of_the_same_writer_are_read(read, tmp_path):
    path = tmp_path / "true"
    for words, shape in ((tensor((3, 4), (4, 1)), [3, 4]), (tensor((4, 3), (1, 4)), [4, 3]), (tensor((), ()), []),
                         (tensor((0, 4), (4, 1)), [0, 4]), (tensor((2, 2), (1, 6), offset=4), [2, 2])):  # fmt: skip
        path.write_bytes(file(words))
        assert read(path).arrays == {"t0.weight": ["float32", shape]}
    path.write_bytes(older(tensor((3, 4), (4, 1)), keys=["0"], tail=(12).to_bytes(8, "little") + BYTES))
    assert not read(path).error


def test_big_endian_storages_are_read_as_what_they_are(read, tmp_path):
    path = tmp_path / "big"
    path.write_bytes(file(tensor((12,), (1,)), data=np.arange(12, dtype=">f4").tobytes(), order=b"big"))
    reading = read(path)
    assert np.frombuffer(bytes.fromhex(reading.text), ">f4").tolist() == list(range(12))


def test_without_the_guard_stride_0_is_believed(read_without, tmp_path):
    path = tmp_path / "lie"
    path.write_bytes(lies()["stride 0 in a small shape"])
    assert not read_without("tensor-shape")(path).error


def text(word: str) -> bytes:
    return b"X" + len(word.encode()).to_bytes(4, "little") + word.encode()


# A tuple that holds two of the one before, 60 times over; it is put aside as 0, and lies below what follows.
NESTED = b"\x80\x04)q\x00" + b"h\x00h\x00\x86q\x00" * 60
DICT = b"ccollections\nOrderedDict\n"
TENSOR = b"ctorch._utils\n_rebuild_tensor_v2\n"
STORAGE = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu") + b"K\x0ctQ"
PAIRS = b"](" + b"".join(b"](" + text(f"{number}") + b"Ne" for number in range(10_000)) + b"e"
HASHES = b"".join(b"\x8a\x0a" + (number * (2**61 - 1)).to_bytes(10, "little") + b"N" for number in range(20_000))
BOMBS = {
    "a view of nested tuples": torch_zip(NESTED + TENSOR + b"(" + STORAGE + b"K\0))\x89Nh\x00tR."),
    "a key of nested tuples": torch_zip(NESTED + b"}h\x00Ns."),
    "the key of nested tuples of a list": torch_zip(NESTED + DICT + b"](](h\x00Neae\x85R."),
    "nested tuples as a storage": torch_zip(NESTED + b"h\x00Q."),
    "nested tuples as a storage's key": torch_zip(NESTED + STORAGE.replace(text("0"), b"h\x00") + b"."),
    "nested tuples as a name": torch_zip(NESTED + b"h\x00h\x00\x93."),
    "nested tuples in the list of storages": older(tensor((3, 4), (4, 1)), keys=[], tail=b"").replace(
        b"\x80\x02]q\x00.", NESTED + b"](h\x00e."
    ),
    "one list for many dicts": torch_zip(
        b"\x80\x02" + DICT + b"q\x00" + PAIRS + b"\x85q\x01](" + b"h\x00h\x01R" * 2000 + b"e."
    ),
    "one shape for many tensors": torch_zip(
        b"\x80\x02(" + b"K\x01" * 100_000 + b"tq\x00" + TENSOR + b"q\x01" + STORAGE + b"q\x02]("
        + b"h\x01(h\x02K\x00h\x00h\x00tR" * 2000 + b"e."
    ),
    "one long name, often": torch_zip(
        b"\x80\x04" + text("x" * 1_000_000 + "Storage") + b"q\x00" + text("torch") + b"q\x01]("
        + b"h\x01h\x00\x93" * 20_000 + b"e."
    ),
    "keys with the same hash": torch_zip(b"\x80\x02}(" + HASHES + b"u."),
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_a_pickle_that_would_need_for_ever_is_refused_at_once(refused, name):
    reading = refused(BOMBS[name])
    assert reading.seconds < 2
    assert reading.parent < 20 * MEGABYTE + 10 * len(BOMBS[name])


STRANGE = {
    "older: a list of numbers": older(tensor((3, 4), (4, 1)), keys=[0], tail=(12).to_bytes(8, "little") + BYTES),
    "older: 2**47 numbers": older(
        tensor((3,), (1,), count=2**47, kind="torch DoubleStorage"), keys=["0"], tail=(2**47).to_bytes(8, "little")
    ),
    "a count of 2**63": file(tensor((3, 4), (4, 1), count=2**63)),
    "a stride of 2**70": file(tensor((3, 4), (2**70, 1))),
    "nothing of 2**70": file(tensor((0, 2**70), (1, 1))),
    "a storage of escape codes": file(tensor((3, 4), (4, 1), key="\x1b[2J", count=2**40)),
    "a type of escape codes": file(tensor((3, 4), (4, 1), kind="torch \x1b[2JStorage")),
    "a name that is a number": torch_zip(b"\x80\x02}K\x05" + tensor((3, 4), (4, 1)) + b"s.", {"data/0": BYTES}),
}


@pytest.mark.parametrize("name", STRANGE)
def test_numbers_and_names_that_cannot_be_are_refused_as_such(refused, name):
    assert refused(STRANGE[name]).error.isprintable()


def test_an_ordered_dict_of_python_2_is_read(read, tmp_path):
    path = tmp_path / "python2"
    pair = b"](U\x08a.weight" + tensor((3, 4), (4, 1)) + b"e"
    words = b"\x80\x02ccollections\nOrderedDict\n](" + pair + b"e\x85R."
    path.write_bytes(torch_zip(words, {"data/0": BYTES, "byteorder": b"little"}))
    assert read(path).arrays == {"a.weight": ["float32", [3, 4]]}
