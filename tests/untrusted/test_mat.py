"""WTS-06: MATLAB files; the parent outlives every one, in little time and memory. Damaged ones: test_fuzz.py."""

import random

import pytest

from tests.untrusted.conftest import ReaderDiedError
from tests.untrusted.corpus.mat import hostile, net
from tests.untrusted.corpus.mutate import mutated
from tests.untrusted.corpus.valid import BIAS, KERNEL, files, mat

MEGABYTE = 1_000_000


@pytest.mark.parametrize("name", list(hostile()))
def test_a_hostile_file_is_refused_and_the_parent_lives(refused, name):
    reading = refused(hostile()[name])
    assert reading.parent < 16 * MEGABYTE
    assert reading.child < 650 * MEGABYTE


def test_weights_that_are_no_numbers_are_named(refused):
    assert "conv1_1/0 is no array of numbers" in refused(hostile()["weights of structs"]).error


def test_version_73_is_refused_with_what_to_do(refused):
    assert "'-v7'" in refused(hostile()["version 7.3"]).error


def test_the_writer_of_the_corpus_writes_sound_networks_too(read, tmp_path):
    path = tmp_path / "sound"
    path.write_bytes(net(KERNEL, BIAS))
    assert list(read(path).arrays) == ["conv1_1/0", "conv1_1/1"]


def test_without_the_child_some_damaged_file_kills_the_parent(read_without, tmp_path):
    reader = read_without("child")
    path = tmp_path / "damaged"
    chance = random.Random(1)
    with pytest.raises(ReaderDiedError):
        for _ in range(3000):
            path.write_bytes(mutated(mat(do_compression=False), chance, list(files().values())))
            reader(path)
