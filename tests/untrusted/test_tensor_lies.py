"""WTS-04: tensors that claim what is not stored, and numbers that are no ordinary ones."""

import re

import numpy as np
import pytest

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
