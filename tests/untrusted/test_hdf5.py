"""WTS-05: HDF5 files that point elsewhere, claim too much or bring code; the secret they point to stays where it is."""

import pytest

from tests.untrusted.corpus.hdf5 import SECRET, hostile, wide, write

MEGABYTE = 1_000_000


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return hostile(tmp_path_factory.mktemp("secrets") / "secret")


def test_every_hostile_file_is_refused_and_the_secret_stays(refused, corpus):
    assert len(corpus) >= 40
    for name, data in corpus.items():
        reading = refused(data)
        assert reading.kind == "", name
        assert b"SECRET" not in bytes.fromhex(reading.text), name
        assert "SECRET" not in f"{reading.error} {reading.about}", name
        assert reading.parent < 16 * MEGABYTE, name
        assert reading.child < 160 * MEGABYTE, name
        is_code = "code" in name or "Lambda" in name or "function" in name
        assert reading.code == ("WEIGHTS-CODE" if is_code else "WEIGHTS-CORRUPT"), (name, reading.error)
        assert reading.signal == 0, name
        assert ("external storage" in name or "virtual" in name) == ("has its values in another" in reading.error), name
        assert ("link" in name) == ("is a link to another place" in reading.error) or "climbs" in name, reading.error


def test_a_group_of_three_thousand_is_no_attack(read, tmp_path):
    path = tmp_path / "wide"
    path.write_bytes(write(wide))
    assert not read(path).error


def test_without_the_look_at_structure_the_limits_still_keep_the_secret(read_without, corpus, tmp_path):
    path = tmp_path / "stranger"
    path.write_bytes(corpus["external storage"])
    reading = read_without("plain-hdf5")(path)
    assert b"SECRET" not in bytes.fromhex(reading.text)
    assert reading.exit == 4


def test_without_both_the_secret_comes_out(read_without, corpus, tmp_path):
    path = tmp_path / "stranger"
    path.write_bytes(corpus["external storage"])
    assert SECRET[:7] in bytes.fromhex(read_without("plain-hdf5", "limits")(path).text)
