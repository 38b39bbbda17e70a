"""Files that are on disk whole or not at all, whatever is killed, unplugged or full (POSIX rename and fsync)."""

import errno
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from verydeep.errors import ResourceError

MEGABYTE = 1_000_000  # bytes, as disks are sold and as `df -H` counts
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # no space, quota used up, larger than this process may write


def write_synced(path: Path, parts: Iterable[bytes | memoryview]) -> tuple[int, str]:
    """Write a new file from its bytes and wait until the disk has it; return its length and its SHA-256.

    The hash is taken from memory, so that reading the file back can tell whether the disk kept it. Raises
    FileExistsError where something has that name already, a planted link too.
    """
    length, digest = 0, hashlib.sha256()
    with path.open("xb", buffering=0) as file:
        for part in parts:
            rest = memoryview(part)
            length += len(rest)
            digest.update(rest)
            while rest:  # one call may take a part only: at most 2 GiB on Linux, less on a disk almost full
                rest = rest[os.write(file.fileno(), rest) :]
        os.fsync(file.fileno())
    return length, digest.hexdigest()


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on disk: a rename is durable only after this."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Create a folder and those above it that are missing, durably."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for place in missing:
        sync_folder(place.parent)


def write_atomic(path: Path, data: bytes) -> None:
    """Replace a file as a whole: a reader, now or after a crash, sees the old content or the new one.

    Raises ResourceError where the disk is full or refuses; the old content is then untouched.
    """
    with disk_errors(path.parent, bytes_needed=len(data)):
        _remove_left_by_killed_writers(path)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
        try:
            write_synced(temporary, [data])
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


@contextmanager
def unfinished_folder(path: Path) -> Iterator[Path]:
    """An empty hidden folder beside `path`, to write in what shall have that name; it is gone in the end."""
    _remove_left_by_killed_writers(path)
    folder = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def free_bytes(folder: Path) -> int:
    """The space this user may still fill on the disk of a folder, or of the folder in which it would be made."""
    return shutil.disk_usage(next(place for place in (folder, *folder.absolute().parents) if place.is_dir())).free


def disk_full(folder: Path, *, bytes_needed: int, cause: str = "") -> ResourceError:
    """The failure of a disk that cannot take what has to be written."""
    needs, has = bytes_needed / MEGABYTE, free_bytes(folder) / MEGABYTE
    return ResourceError(
        f"not enough disk space: needs {needs:.1f} MB, has {has:.1f} MB in {folder}{cause}",
        code="DISK-FULL",
        hint="Free some space or choose another folder with --out.",
    )


@contextmanager
def disk_errors(folder: Path, *, bytes_needed: int) -> Iterator[None]:
    """Turn the operating system's refusals to write into ResourceError, code DISK-FULL or DISK-ERROR."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise disk_full(folder, bytes_needed=bytes_needed, cause=f" ({error.strerror})") from error
        raise ResourceError(
            f"cannot write in {error.filename or folder}: {error.strerror or error}",
            code="DISK-ERROR",
            hint="Check the disk and the permissions of the folder, or choose another one with --out.",
        ) from error


def _remove_left_by_killed_writers(path: Path) -> None:
    for left in path.parent.iterdir():
        owner, _, process = left.name.removesuffix(".unfinished").rpartition(".")
        is_ours = left.name.endswith(".unfinished") and owner == f".{path.name}" and process.isdecimal()
        if is_ours and (int(process) == os.getpid() or not _is_alive(int(process))):
            if left.is_dir() and not left.is_symlink():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink(missing_ok=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass  # another user's, or of a machine that counts further
    return True
