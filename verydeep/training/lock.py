"""One trainer for one run folder: a lock that the kernel gives back when its holder dies, even by kill -9 (flock)."""

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from verydeep.durable import disk_errors, make_folder
from verydeep.errors import ConfigError

NAME = ".lock"
_held: set[int] = set()  # descriptors of the locks that this process holds


@contextmanager
def lock(run: Path) -> Iterator[None]:
    """Hold a run folder for this process; ConfigError RUN-LOCKED, naming the holder, where another one has it.

    The file stays, empty, when the lock is given back: its presence means nothing, only the kernel's lock does. What a
    killed holder left in it is overwritten by the next.
    """
    path = run / NAME
    with disk_errors(run, bytes_needed=0):
        make_folder(run)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise _locked(path) from None
        except OSError:
            os.close(descriptor)
            raise
        _held.add(descriptor)
    try:
        with disk_errors(run, bytes_needed=0):
            holder = {
                "pid": os.getpid(),
                "host": socket.gethostname(),
                "since": f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC",
            }
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps(holder).encode(), 0)
        yield
    finally:
        if descriptor in _held:  # not in a forked child, where the block may end too
            _held.remove(descriptor)
            os.ftruncate(descriptor, 0)
            os.close(descriptor)


def _locked(path: Path) -> ConfigError:
    try:
        holder = json.loads(path.read_text())
        who = f"process {holder['pid']} on {holder['host']} since {holder['since']}"
    except (OSError, ValueError, LookupError, TypeError):
        who = "another process, which has just started or is about to end"
    return ConfigError(
        f"run {path.parent} is in use by {who}",
        code="RUN-LOCKED",
        hint="Wait until it ends, stop it, or choose another folder with --out.",
    )


def _let_go() -> None:
    # A data worker forked from the trainer must not keep the lock when the trainer is killed.
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_let_go)
