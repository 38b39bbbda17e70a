"""WTS-08: safetensors files; each refusal takes less than a second and little memory."""

import pytest

from tests.untrusted.corpus.safetensors import entry, file, hostile

MEGABYTE = 1_000_000


@pytest.mark.parametrize("name", list(hostile()))
def test_a_hostile_file_is_refused_at_once(refused, name):
    reading = refused(hostile()[name])
    assert reading.seconds < 1
    assert reading.parent < 100 * MEGABYTE
    assert reading.child == 0


def test_the_writer_of_the_corpus_writes_sound_files_too(read, tmp_path):
    path = tmp_path / "sound"
    for header in (
        {"a": entry()},
        {"b": entry(0, 20, (5,)), "a": entry(20, 48, (7,))},
        {"a": entry(0, 0, (0, 3)), "b": entry()},
    ):
        path.write_bytes(file(header))
        assert list(read(path).arrays) == sorted(header) or not read(path).error


def test_without_the_guard_a_name_given_twice_is_read(read_without, tmp_path):
    path = tmp_path / "twice"
    path.write_bytes(hostile()["a name twice"])
    assert not read_without("header")(path).error


def test_without_the_guard_a_header_of_99_megabytes_takes_long(read_without, tmp_path):
    path = tmp_path / "long"
    path.write_bytes(hostile()["a header of 99 MB of text"])
    reading = read_without("header")(path)
    assert reading.parent > 90 * MEGABYTE or not reading.error
