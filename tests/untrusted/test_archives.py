"""WTS-03: archives that can be read in two ways, or that are more than they seem."""

import pytest

from tests.untrusted.corpus.archives import entries, hostile, written
from tests.untrusted.corpus.valid import files

MEGABYTE = 1_000_000
SOUND = ("torch zip", "keras")
CASES = [(kind, name) for kind in SOUND for name in hostile(files()[kind])]


@pytest.mark.parametrize(("kind", "name"), CASES, ids=[f"{kind}: {name}" for kind, name in CASES])
def test_a_hostile_archive_is_refused_in_little_memory(refused, kind, name):
    reading = refused(hostile(files()[kind])[name])
    assert ("twice" in name) == ("twice" in reading.error)
    assert reading.parent < 64 * MEGABYTE
    assert reading.child < 160 * MEGABYTE  # of which NumPy and HDF5 take a third


def test_the_writer_of_the_corpus_writes_sound_archives_too(read, tmp_path):
    for kind in SOUND:
        path = tmp_path / "sound"
        path.write_bytes(written(entries(files()[kind])))
        assert not read(path).error


def test_a_wrong_checksum_is_missed_without_the_guard(read_without, tmp_path):
    path = tmp_path / "wrong"
    path.write_bytes(hostile(files()["torch zip"])["a wrong checksum"])
    assert not read_without("checksum")(path).error


def test_without_the_strict_reader_an_archive_of_two_contents_is_read(read_without, tmp_path):
    path = tmp_path / "two"
    path.write_bytes(hostile(files()["torch zip"])["a member that is not listed"])
    assert not read_without("strict-zip")(path).error
