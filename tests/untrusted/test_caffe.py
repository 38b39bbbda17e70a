"""WTS-07: Caffe models, of which only names, types and blobs are looked at. Damaged ones: test_fuzz.py."""

import numpy as np
import pytest

from tests.untrusted.corpus.caffe import harmless, hostile
from tests.untrusted.corpus.valid import BIAS, KERNEL

MEGABYTE = 1_000_000


@pytest.mark.parametrize("name", list(hostile()))
def test_a_hostile_model_is_refused(refused, name):
    reading = refused(hostile()[name])
    assert reading.child < 160 * MEGABYTE
    assert reading.code == ("WEIGHTS-CODE" if "Python" in name else reading.code)


def test_the_refusal_of_a_shape_says_both(refused):
    assert "a blob of a has 108 numbers, not 4 x 3 x 3 x 4" in refused(hostile()["more claimed than stored"]).error


def test_a_python_layer_is_code(refused):
    assert "contains code (the Python layer evil); refused" in refused(hostile()["a Python layer"]).error


@pytest.mark.parametrize("name", list(harmless()))
def test_an_odd_model_with_sound_blobs_is_read(read, tmp_path, name):
    path = tmp_path / "odd"
    path.write_bytes(harmless()[name])
    reading = read(path)
    assert not reading.error
    assert list(reading.arrays) == ["conv1_1/0", "conv1_1/1"]
    values = np.frombuffer(bytes.fromhex(reading.text), np.float64 if "double" in name else np.float32)
    assert np.array_equal(values[: KERNEL.size].astype(np.float32), KERNEL.ravel())
    assert np.array_equal(np.frombuffer(bytes.fromhex(reading.text)[-BIAS.nbytes :], np.float32), BIAS)
