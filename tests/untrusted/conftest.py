"""A process that reads hostile files for the tests, and what it answers."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

READER = Path(__file__).with_name("reader.py")
ENVIRONMENT = os.environ | {
    "PYTHONPATH": str(READER.parents[2]),
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "HDF5_PLUGIN_PRELOAD": "::",
}


@dataclass
class Reading:
    """What came of one file."""

    path: str
    seconds: float  # of processor time, of parent and child
    parent: int  # bytes that the parent took beyond what it had
    child: int  # bytes of the confined child at its peak; 0 where there was none
    signal: int  # by which the confined child died, 0: none
    events: list[str]  # that reading weights has no business with
    kind: str = ""
    arrays: dict[str, Any] | None = None
    bytes: int = 0
    text: str = ""
    about: dict[str, Any] | None = None
    error: str = ""
    code: str = ""
    exit: int = 0


class Reader:
    """The process of reader.py; it is started again where it died, and the death is the test's failure."""

    def __init__(self, *without: str) -> None:
        self.command = [sys.executable, str(READER), *(word for guard in without for word in ("--without", guard))]
        self.process: subprocess.Popen[str] | None = None

    def __call__(self, path: Path) -> Reading:
        if self.process is None or self.process.poll() is not None:
            self.process = subprocess.Popen(
                self.command, env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        assert self.process.stdin
        assert self.process.stdout
        print(json.dumps(str(path)), file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if not line:
            raise ReaderDiedError(f"the parent ended with {self.process.wait()} at {path}")
        return Reading(**json.loads(line))

    def end(self) -> None:
        if self.process:
            self.process.kill()
            self.process.communicate()


class ReaderDiedError(AssertionError):
    """The process that must survive every file did not."""


@pytest.fixture(scope="session")
def read() -> Iterator[Reader]:
    """Reads a file with every guard in place."""
    reader = Reader()
    yield reader
    reader.end()


@pytest.fixture
def read_without() -> Iterator[Callable[..., Reader]]:
    """Makes a reader that lacks guards: ``read_without("limits")(path)``."""
    made: list[Reader] = []

    def make(*guards: str) -> Reader:
        made.append(Reader(*guards))
        return made[-1]

    yield make
    for reader in made:
        reader.end()


@pytest.fixture
def refused(read: Reader, tmp_path: Path) -> Callable[[bytes], Reading]:
    """Writes the bytes, has them read, and checks what every refusal must be."""

    def check(data: bytes) -> Reading:
        path = tmp_path / "stranger"
        path.write_bytes(data)
        reading = read(path)
        assert reading.exit == 4, (reading.code, reading.error, reading.arrays)
        assert reading.error.startswith(str(path))
        assert "\n" not in reading.error
        assert not reading.events
        assert reading.seconds < 5
        return reading

    return check
