"""The parent's end of one process of a contest: questions out, answers in, and why it died if it did."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, cast

from verydeep.benchmark.asleep import wait_until_asleep
from verydeep.errors import ResourceError

PATIENCE = 900.0  # seconds for one answer; torch.compile takes minutes for large networks
QUOTED = 200  # characters of the last line that a dead process wrote
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class Failed(Exception):  # noqa: N818 - not an error of the contest: one row of its table
    """A process that gave no answer, died or could not do what it was asked, with the reason."""


class Worker:
    """One process; it computes only between a question and its answer."""

    def __init__(self, *, threads: int, folder: Path, name: str) -> None:
        """Start the process; it computes with `threads` and writes what it has to say into `folder`."""
        self.log = folder / f"{name}.log"
        own = {
            "PYTHONPATH": os.pathsep.join(str(Path(place).absolute()) for place in sys.path if place),
            "TORCHINDUCTOR_COMPILE_THREADS": "1",  # more would be processes of their own, and stay
            **{variable: str(threads) for variable in THREADS},
        }
        with self.log.open("wb") as log:
            try:
                self.process = subprocess.Popen(
                    [sys.executable, "-m", "verydeep.benchmark.child"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    env=os.environ | own,
                    start_new_session=True,  # Ctrl-C is for the parent, which ends this process and all that it began
                )
            except OSError as error:
                raise ResourceError(
                    f"no process can be started: {error.strerror}", code="RESOURCE", hint="Make room, then try again."
                ) from None
        self.buffer = b""
        self.closed = False

    def ask(self, do: str, *, patience: float = PATIENCE, **given: Any) -> Mapping[str, Any]:
        """The answer to one question.

        Raises:
            Failed: it could not, died, or gave no answer in `patience` seconds.
        """
        try:
            pipe = cast("BinaryIO", self.process.stdin)
            pipe.write(json.dumps({"do": do, **given}).encode() + b"\n")
            pipe.flush()
        except BrokenPipeError:
            raise self._died() from None
        answer = json.loads(self._line(patience))
        if "failed" in answer:
            raise Failed(answer["failed"])
        return answer

    def rest(self) -> bool:
        """Wait until it computes no more; False if it does not stop to."""
        return wait_until_asleep(self.process.pid)

    def close(self) -> None:
        """End the process and all that it has started."""
        if self.closed:  # its number may be another's by now
            return
        self.closed = True
        with suppress(ProcessLookupError):  # it has ended by itself
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            with suppress(BrokenPipeError):  # of a question that nobody was left to read
                cast("BinaryIO", pipe).close()

    def _line(self, patience: float) -> bytes:
        pipe, end = cast("BinaryIO", self.process.stdout).fileno(), time.monotonic() + patience
        while b"\n" not in self.buffer:
            if not select.select([pipe], [], [], max(0.0, end - time.monotonic()))[0]:
                raise Failed(f"it gave no answer for {patience:g} seconds")
            part = os.read(pipe, 65536)
            if not part:
                raise self._died()
            self.buffer += part
        line, _, self.buffer = self.buffer.partition(b"\n")
        return line

    def _died(self) -> Failed:
        code = self.process.wait()
        if code == -signal.SIGKILL:
            return Failed("it was killed (SIGKILL): most likely there was not enough memory")
        why = f"it died by {_name(-code)}" if code < 0 else f"it ended with exit code {code}"
        said = self.log.read_text(errors="replace").strip().splitlines()
        return Failed(f"{why}: {said[-1][:QUOTED]}" if said else why)


def _name(number: int) -> str:
    """The name of a signal; real-time signals have none."""
    names = {one.value: one.name for one in signal.Signals}
    return names.get(number, f"signal {number}")
