"""Files of formats whose readers can crash are read in a child process that has given up most of its rights.

SciPy's reader of MAT files dies by a signal on about 1 of 100 damaged files, HDF5 opens other files when a file says
so, and what a parser in C does with hostile bytes nobody can promise. So the child gets the open file, gives up every
right that it can (`confined_child`, which says what it keeps), and answers in frames which this parent checks as it
would check the file. The parent survives whatever the child says. It is no sandbox: a reader that a file has taken over
can still do as its user what needs no open file, such as deleting or renaming files.
"""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt

import verydeep
from verydeep import extras
from verydeep.errors import ConfigError, ResourceError, VerydeepError, WeightsError
from verydeep.weights import about, frames, refusals
from verydeep.weights.confined_child import NO_READER, PARSERS, cpu_seconds

Array = npt.NDArray[Any]

# With -I no variable and no folder of the user decides what is imported; -S: no start-up hooks; -B: no .pyc files.
START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from verydeep.weights.confined_child import main; main(sys.argv[2])"
)
PATIENCE = 30  # seconds that a machine may be busy with other things
HINTS = {  # by the codes that a child may report; its own words are not taken for advice
    "WEIGHTS-CODE": refusals.code("").hint,
    "WEIGHTS-CORRUPT": refusals.AGAIN,
    "WEIGHTS-DTYPE": "Convert them to floating point where they were made.",
    "WEIGHTS-FORMAT": "Save them again, dense and named, with their own program (in MATLAB as -struct, -v7).",
}
# Of the user's variables: where the linker looks, and how texts are written. Tokens and passwords are no reader's.
VARIABLES = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "LANG", "LC_ALL", "LC_CTYPE")
# HDF5 would load filters from a folder of plug-ins; one thread, because each one reserves memory; without a home
# Python would ask the system's directory of users for it.
SETTINGS = {"HOME": os.sep, "HDF5_PLUGIN_PRELOAD": "::", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
EXTRAS = {"hdf5": "hdf5", "keras": "hdf5"}  # what brings the package that reads this kind, where SciPy does not


def read(file: BinaryIO, *, kind: str) -> tuple[dict[str, Array], dict[str, Any]]:
    """The arrays of an open file of this `kind`, a key of `PARSERS`, and what else it says.

    Raises:
        WeightsError: the file is damaged, holds what is not read here, or made its reader crash or take too long.
        ConfigError: the package that reads such files is not installed.
        ResourceError: the system has no room for one more process.
    """
    extras.load(PARSERS[kind], extra=EXTRAS.get(kind, "scipy"))  # says what is missing before a child is started
    size = os.fstat(file.fileno()).st_size
    with _child(file, kind) as child:
        answers = _Answers(child, deadline=time.monotonic() + PATIENCE + 4 * cpu_seconds(size), size=size)
        return answers.content()


@contextmanager
def _child(file: BinaryIO, kind: str) -> Generator[subprocess.Popen[bytes]]:
    root = str(Path(verydeep.__file__).parents[1])
    places = [str(Path(place).absolute()) for place in sys.path if place] + [root]
    environment = {name: os.environ[name] for name in VARIABLES if name in os.environ} | SETTINGS
    try:
        child = subprocess.Popen(
            [sys.executable, "-I", "-S", "-B", "-c", START, json.dumps(places), kind],
            stdin=file,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            bufsize=0,
        )
    except OSError as error:
        raise ResourceError(
            f"no process can be started to read the file: {error.strerror}",
            code="RESOURCE",
            hint="Make room, then try again.",
        ) from None
    try:
        yield child
    finally:
        child.kill()
        child.wait()
        cast("BinaryIO", child.stdout).close()


class _Answers:
    """The frames of one child, each checked."""

    def __init__(self, child: subprocess.Popen[bytes], *, deadline: float, size: int) -> None:
        self.child = child
        self.deadline = deadline
        self.size = size
        self.pipe = cast("BinaryIO", child.stdout).fileno()
        self.poll = select.poll()
        self.poll.register(self.pipe, select.POLLIN)

    def content(self) -> tuple[dict[str, Array], dict[str, Any]]:
        header = self._header()
        try:
            claims = frames.claims(header["arrays"])
            said = header["about"]
        except (ValueError, TypeError, KeyError):
            raise refusals.damaged("its reader gave a false answer") from None
        try:
            said = about.checked(said)
        except ValueError as error:
            raise refusals.damaged(f"what it says of {error} cannot be so") from None
        if sum(claim.nbytes for claim in claims) > frames.most_array_bytes(self.size):
            raise refusals.damaged(f"it claims more numbers than a file of {self.size} bytes can hold")
        arrays = {claim.name: self._array(claim) for claim in claims}
        if self._some(memoryview(bytearray(1))) or self._exit_code() != 0:
            raise refusals.damaged("its reader gave more than it announced")
        return arrays, said

    def _header(self) -> dict[str, Any]:
        length = self._frame(frames.HEADER)
        if length > frames.MOST_HEADER:
            raise refusals.damaged(f"the names of its arrays need {length} bytes")
        value = self._json(length)
        return cast("dict[str, Any]", value) if isinstance(value, dict) else {}

    def _array(self, claim: frames.Claim) -> Array:
        if self._frame(frames.ARRAY) != claim.nbytes:
            raise refusals.damaged(f"{claim.name} is not as long as announced")
        array = np.empty(claim.shape, claim.dtype)
        self._fill(array.data.cast("B") if claim.nbytes else memoryview(b""))
        return array

    def _frame(self, wanted: bytes) -> int:
        """The length of the next frame, which must be of this letter; an error that the child reports is raised."""
        head = bytearray(frames.FRAME.size)
        self._fill(memoryview(head))
        letter, length = frames.FRAME.unpack(head)
        if letter == frames.ERROR and length <= frames.MOST_ERROR:
            raise _reported(self._json(length))
        if letter != wanted:
            raise refusals.damaged("its reader gave a false answer")
        return length

    def _json(self, length: int) -> Any:
        text = bytearray(length)
        self._fill(memoryview(text))
        try:
            return json.loads(text.decode())
        except (ValueError, RecursionError):
            raise refusals.damaged("its reader gave a false answer") from None

    def _fill(self, view: memoryview) -> None:
        while view:
            count = self._some(view)
            if not count:
                raise self._ended()
            view = view[count:]

    def _some(self, view: memoryview) -> int:
        """Read what there is into `view`; 0 at the end."""
        if not self.poll.poll(1000 * max(0.0, self.deadline - time.monotonic())):
            raise refusals.damaged("reading it took too long")
        return os.readv(self.pipe, [view])

    def _ended(self) -> VerydeepError:
        """Why the child ended before it had said all."""
        code = self._exit_code()
        if code in (-signal.SIGXCPU, -signal.SIGKILL):
            return refusals.damaged("reading it took too long or too much memory")
        if code == NO_READER:
            return ConfigError(
                "what reads such files is installed, but cannot be imported in a process of its own",
                code="EXTRA-MISSING",
                hint="Install verydeep and what it needs into one environment, plainly, and use that.",
            )
        if code < 0:
            names = {number.value: number.name for number in signal.Signals}  # real-time signals have none
            return refusals.damaged(f"it made its reader crash ({names.get(-code, f'signal {-code}')})")
        return refusals.damaged(f"its reader gave up (exit code {code})")

    def _exit_code(self) -> int:
        try:
            return self.child.wait(timeout=max(1.0, self.deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise refusals.damaged("reading it took too long") from None


def _reported(value: Any) -> WeightsError:
    """The child's own error, as far as it is one that a child may have."""
    texts = cast("list[Any]", value) if isinstance(value, list) else []
    if len(texts) != 2 or not all(isinstance(text, str) for text in texts):
        return refusals.damaged("its reader gave a false answer")
    message, code = cast("list[str]", texts)
    known = code if code in HINTS else "WEIGHTS-CORRUPT"
    return WeightsError(_printable(message), code=known, hint=HINTS[known])


def _printable(text: str) -> str:
    """One line, of a bearable length, that a terminal shows and does not obey."""
    return "".join(letter if letter.isprintable() else "?" for letter in " ".join(text.split())[:500])
