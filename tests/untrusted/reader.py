"""A process that reads strangers' files one after the other and tells what came of each: the subject of these tests.

It imports everything first and forks the confined child from itself, which saves half a second for each file; what the
child then does, and what the parent checks, is the code of the package. An audit hook notes whatever a reader of
weights has no business with, in parent and child. Usage: reader.py [--without GUARD ...], one path a line on standard
input, one JSON line for each on standard output. A guard that is left out shows that the tests would miss it.
"""

import json
import os
import pickle
import resource
import sys
import time
import traceback
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from verydeep.errors import VerydeepError
from verydeep.weights import archive, confined, confined_child, file_kinds, frames, hdf5_file, tensor_file, torch_file

QUIET = (
    "object.__",
    "cpython.",
    "sys._getframe",
    "os.listxattr",
    "gc.",
    "os.fork",
    "ctypes.",
    "array.",
    "builtins.id",
    "resource.",
)
MEMORY = 512 * frames.MEGABYTE


class Watch:
    """Notes events that reading weights must not cause, in this process and in its forked children."""

    def __init__(self) -> None:
        self.reads, self.writes = os.pipe()
        os.set_blocking(self.reads, False)
        self.path: str | None = None
        sys.addaudithook(self.hook)

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.path is None or event.startswith(QUIET) or (event == "os.kill" and arguments[0] == LAST[0].pid):
            return
        if event == "open":
            path, mode, flags = arguments
            is_read = not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC)
            if isinstance(path, int) or (is_read and os.fspath(path) in (self.path, "/proc/self/statm")):
                return
            event = f"open {path} {mode}"
        elif event in ("import", "pickle.find_class", "os.system", "subprocess.Popen", "compile", "exec"):
            event = f"{event} {str(arguments[0])[:80]}"
        os.write(self.writes, (event + "\n").encode())

    def events(self) -> list[str]:
        try:
            return os.read(self.reads, 1 << 16).decode().splitlines()
        except BlockingIOError:
            return []


class Forked:
    """What `confined` uses of subprocess.Popen, for a child that was forked."""

    def __init__(self, file: BinaryIO, kind: str) -> None:
        reads, writes = os.pipe()
        self.code: int | None = None
        self.is_killed = False  # by this parent, which has heard enough
        self.peak = 0
        self.seconds = 0.0
        self.pid = os.fork()
        if self.pid == 0:
            self._serve(file, writes, kind)
        os.close(writes)
        self.stdout = os.fdopen(reads, "rb", buffering=0)

    def _serve(self, file: BinaryIO, writes: int, kind: str) -> None:
        try:
            with os.fdopen(os.dup(file.fileno()), "rb", buffering=0) as own:
                confined_child.serve(own, os.fdopen(writes, "wb", buffering=0), kind=kind)
            os._exit(0)
        finally:
            os._exit(1)

    def wait(self, timeout: float | None = None) -> int:
        begin = time.monotonic()
        while self.code is None:
            pid, status, used = os.wait4(self.pid, os.WNOHANG if timeout is not None else 0)
            if pid:
                self.code, self.peak = os.waitstatus_to_exitcode(status), used.ru_maxrss
                self.seconds = used.ru_utime + used.ru_stime
            elif timeout is not None and time.monotonic() - begin > timeout:
                raise confined.subprocess.TimeoutExpired("reader", timeout)
            else:
                time.sleep(0.0005)
        return self.code

    def kill(self) -> None:
        if self.code is None:
            self.is_killed = True
            os.kill(self.pid, 9)


LAST: list[Forked] = []


@contextmanager
def forked(file: BinaryIO, kind: str) -> Iterator[Forked]:
    """In the place of `confined._child`."""
    child = Forked(file, kind)
    LAST[:] = [child]
    try:
        yield child
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


def in_this_process(file: BinaryIO, *, kind: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """In the place of `confined.read`: no child at all."""
    arrays, about = import_module(confined_child.PARSERS[kind]).parse(file)
    return {name: array[()] for name, array in arrays.items()}, about


def any_zip(file: BinaryIO) -> dict[str, archive.Member]:
    """In the place of `archive.members`: what the zip's directory says is believed."""
    with zipfile.ZipFile(file) as opened:
        return {
            entry.filename: archive.Member(
                entry.filename, entry.header_offset + 30 + len(entry.filename), entry.file_size, entry.CRC
            )
            for entry in opened.infolist()
        }


def leave_out(guard: str) -> None:
    """Take one protection away."""
    nothing = lambda *_, **__: None  # noqa: E731
    match guard:
        case "allow-list":
            torch_file.parse = pickle.load
        case "child":
            confined.read = in_this_process
        case "limits":
            confined_child._limit = nothing
        case "plain-hdf5":
            hdf5_file._refuse_unplain = nothing
        case "hard-links":
            hdf5_file._opened = lambda group, name, path: group[name]
        case "strict-zip":
            archive.members = any_zip
        case "checksum":
            archive.verify = nothing
        case "tensor-shape":
            torch_file._refuse_impossible = nothing
        case "header":
            tensor_file._check_header = nothing
        case "one-kind":
            find = file_kinds._kinds
            file_kinds._kinds = lambda file: iter(list(find(file))[-1:])
        case _:
            raise SystemExit(f"no guard is called {guard}")


def memory(key: str) -> int:
    """VmRSS or VmHWM of this process in bytes."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(key))
    return int(line.split()[1]) * 1024


def outcome(path: str, watch: Watch) -> dict[str, Any]:
    """Read one file; what came of it."""
    LAST.clear()
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before, begin = memory("VmRSS"), time.process_time()
    found: dict[str, Any] = {"path": path}
    watch.path = path
    try:
        content = file_kinds.read(Path(path))
        found["kind"] = content.kind
        found["arrays"] = {name: [str(array.dtype), list(array.shape)] for name, array in content.arrays.items()}
        found["bytes"] = sum(array.nbytes for array in content.arrays.values())
        found["text"] = b"".join(
            np.ascontiguousarray(array).tobytes()[:2000] for array in content.arrays.values()
        ).hex()
        found["about"] = content.about
    except VerydeepError as error:
        found |= {"error": str(error), "code": error.code, "exit": error.exit_code}
    except BaseException:
        found |= {"error": traceback.format_exc(), "code": "NOT-OURS", "exit": 1}
    watch.path = None
    found["seconds"] = time.process_time() - begin + (LAST[0].seconds if LAST else 0)
    found["parent"] = max(0, memory("VmHWM") - before)
    found["child"] = LAST[0].peak * 1024 if LAST else 0
    found["signal"] = max(0, -(LAST[0].code or 0)) if LAST and not LAST[0].is_killed else 0
    found["events"] = watch.events()
    return found


def main() -> None:
    """Answer until standard input ends."""
    for kind in confined_child.PARSERS.values():
        import_module(kind)
    for codec in (*confined_child.CODECS, "raw_unicode_escape", "unicode_escape"):
        import_module(f"encodings.{codec}")
    warnings.simplefilter("ignore")
    confined._child = forked
    for word in sys.argv[1:]:
        if word != "--without":
            leave_out(word)
    watch = Watch()
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))
    for line in sys.stdin:
        print(json.dumps(outcome(json.loads(line), watch)), flush=True)


if __name__ == "__main__":
    main()
