"""A file that is written atomically holds the old content or the new, whatever strikes."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from verydeep.durable import make_folder, sync_folder, write_atomic, write_synced
from verydeep.errors import ResourceError

CALLS = ("write", "fsync", "replace")


def test_a_file_is_made_and_replaced_with_the_mode_of_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        write_atomic(tmp_path / "config.yaml", b"one")
        write_atomic(tmp_path / "config.yaml", b"two")
    finally:
        os.umask(before)
    assert (tmp_path / "config.yaml").read_bytes() == b"two"
    assert (tmp_path / "config.yaml").stat().st_mode & 0o777 == 0o640
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]


def test_a_large_file_and_an_empty_one_are_whole(tmp_path):
    for content in (b"", os.urandom(5_000_000)):
        write_atomic(tmp_path / "file", content)
        assert (tmp_path / "file").read_bytes() == content


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
@pytest.mark.parametrize("name", CALLS)
def test_a_disk_that_fails_leaves_the_old_content_and_no_litter(tmp_path, monkeypatch, name, code):
    write_atomic(tmp_path / "file", b"old")

    def fail(*arguments, **options):
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(os, name, fail)
        with pytest.raises(ResourceError, match=str(tmp_path)) as caught:
            write_atomic(tmp_path / "file", b"new")
    assert caught.value.code == ("DISK-ERROR" if code == errno.EIO else "DISK-FULL")
    assert (tmp_path / "file").read_bytes() == b"old" and len(list(tmp_path.iterdir())) == 1


KILLED = """
import os, sys
from pathlib import Path
from verydeep import durable
position, seen = int(sys.argv[2]), 0
def ending(real):
    def call(*given, **options):
        global seen
        seen += 1
        if seen == position:
            os._exit(77)
        return real(*given, **options)
    return call
for name in ("write", "fsync", "replace"):
    setattr(os, name, ending(getattr(os, name)))
if len(sys.argv) > 3:
    durable.write_atomic = lambda path, data: (path.write_bytes(b""), os.fsync(1), path.write_bytes(data))
durable.write_atomic(Path(sys.argv[1]), b"new" * 1000)
"""


def killed_at(path: Path, position: int, *without: str) -> int:
    command = [sys.executable, "-c", KILLED, str(path), str(position), *without]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.run(command, check=False, stdout=subprocess.DEVNULL, env=environment).returncode


def test_a_writer_killed_at_any_call_leaves_the_old_content_or_the_new(tmp_path):
    ended, position = 77, 0
    while ended == 77:
        position += 1
        write_atomic(tmp_path / "file", b"old")
        ended = killed_at(tmp_path / "file", position)
        assert (tmp_path / "file").read_bytes() in (b"old", b"new" * 1000)
    assert ended == 0 and position == 5  # write, fsync, replace, fsync of the folder, and once to the end
    write_atomic(tmp_path / "file", b"again")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]  # what the killed left is gone


def test_a_writer_that_writes_in_place_is_found_out(tmp_path):
    write_atomic(tmp_path / "file", b"old")
    killed_at(tmp_path / "file", 1, "without")
    assert (tmp_path / "file").read_bytes() not in (b"old", b"new" * 1000)


def test_what_a_living_writer_or_another_file_has_unfinished_is_left_alone(tmp_path):
    others = [".file.1.unfinished", ".file.2.0.unfinished", ".other.999999999.unfinished", "file.999999999.unfinished"]
    for name in others:
        (tmp_path / name).write_text("")
    (tmp_path / ".file.999999999.unfinished").write_text("")  # above the highest process number of Linux
    write_atomic(tmp_path / "file", b"new")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["file", *others])


def test_a_planted_link_is_not_followed(tmp_path):
    (tmp_path / "target").write_text("precious")
    (tmp_path / "new").symlink_to(tmp_path / "target")
    with pytest.raises(FileExistsError):
        write_synced(tmp_path / "new", [b"x"])
    assert (tmp_path / "target").read_text() == "precious"


def test_a_folder_that_is_missing_is_told_with_its_path(tmp_path):
    with pytest.raises(ResourceError, match="nowhere: No such file or directory"):
        write_atomic(tmp_path / "nowhere" / "file", b"x")


def test_every_new_folder_is_synced_into_the_one_above(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr("verydeep.durable.sync_folder", lambda place: synced.append(place) or sync_folder(place))
    make_folder(tmp_path / "a" / "b")
    assert sorted(synced) == [tmp_path, tmp_path / "a"]
