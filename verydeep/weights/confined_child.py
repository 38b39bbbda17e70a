"""The child that reads a stranger's file: it gives up what it does not need, parses, and answers in frames.

Standard input is the open file, standard output the pipe to `confined`. Before the first byte is parsed the process
has lost the right to open any file, socket or pipe (RLIMIT_NOFILE 0), to write to a file (RLIMIT_FSIZE 0), to start a
process (RLIMIT_NPROC 0, which the kernel does not hold against root), and to use more memory and processor time than
the size of the file explains. So an HDF5 file cannot have another file read, and a decompression bomb ends here.

What is not prevented: the child runs as its user, and limits do not forbid what needs no open file. A reader that a
file has taken over can still delete, rename and make folders, change permissions, and send signals to processes of that
user. The limits keep sound readers from being misused; against an attack on their code use a machine of its own.
"""

import json
import os
import resource
import sys
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from verydeep.errors import WeightsError
from verydeep.weights import frames, refusals

Array = npt.NDArray[Any]

PARSERS = {  # the module with `parse(file) -> (arrays, about)`
    "hdf5": "verydeep.weights.hdf5_file",
    "keras": "verydeep.weights.keras_file",
    "mat": "verydeep.weights.mat_file",
    "caffemodel": "verydeep.weights.caffe_file",
    "mxnet": "verydeep.weights.mxnet_params",
}
# What parsers look up as they go, of which the modules must be there before the limits are.
CODECS = ("ascii", "cp437", "latin_1", "utf_16", "utf_16_le", "utf_16_be", "utf_32", "utf_32_le", "utf_32_be")
NO_READER = 69  # the exit code where the parser cannot be imported: EX_UNAVAILABLE of sysexits.h
MEMORY = 512 * frames.MEGABYTE  # beyond what the imports took and twice the file
RATE = 40 * frames.MEGABYTE  # bytes of file for each second of processor time; MAT files, the slowest, take 100 MB


def main(kind: str) -> None:
    """Parse standard input as a file of this kind and answer on standard output; exit by NO_READER without a parser."""
    try:
        import_module(PARSERS[kind])
    except ImportError:
        sys.exit(NO_READER)
    with os.fdopen(0, "rb", buffering=0) as file, os.fdopen(1, "wb", buffering=0) as pipe:
        serve(file, pipe, kind=kind)


def serve(file: BinaryIO, pipe: BinaryIO, *, kind: str) -> None:
    """Parse `file` with the parser of `kind`, which is imported first, and answer on `pipe`; limits are set between."""
    parse = import_module(PARSERS[kind]).parse
    for codec in CODECS:
        import_module(f"encodings.{codec}")
    warnings.simplefilter("ignore")  # to show one, Python would open more files
    _limit(os.fstat(file.fileno()).st_size)
    try:
        file.seek(0)
        arrays, about = parse(file)
        announced = [[name, _dtype(name, array), list(array.shape)] for name, array in arrays.items()]
        _send(pipe, frames.HEADER, _json({"arrays": announced, "about": about}))
        for (_, dtype, _), array in zip(announced, arrays.values(), strict=True):
            values = np.ascontiguousarray(array[()], dtype)  # an HDF5 data set is read here, and forgotten
            _send(pipe, frames.ARRAY, values.data.cast("B") if values.size else b"")
    except WeightsError as error:
        _send(pipe, frames.ERROR, _json([error.message[:500], error.code]))
    except MemoryError:
        _send(pipe, frames.ERROR, _damaged("reading it takes more memory than its size explains"))
    except Exception as error:  # hostile bytes make parsers raise nearly anything
        why = " ".join(str(error).split())[:200]
        _send(pipe, frames.ERROR, _damaged(f"it is damaged ({type(error).__name__}: {why})"))


def cpu_seconds(size: int) -> int:
    """The processor time that a file of `size` bytes may take."""
    return 3 + size // RATE


def _limit(size: int) -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    _lower(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime) + cpu_seconds(size))
    _lower(resource.RLIMIT_FSIZE, 0)
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_NPROC, 0)
    if sys.platform == "linux":  # macOS counts the libraries of the whole system as the process's own
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        _lower(resource.RLIMIT_AS, pages * resource.getpagesize() + MEMORY + 2 * size)
    _lower(resource.RLIMIT_NOFILE, 0)  # last, because it forbids to look at /proc


def _lower(limit: int, most: int) -> None:
    _, hard = resource.getrlimit(limit)
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(limit, (most, most))


def _dtype(name: str, array: Any) -> str:
    """The type in which the array travels: little-endian, of those that the parent takes."""
    dtype = np.dtype(array.dtype).newbyteorder("<").str
    if dtype not in frames.TYPES:
        raise WeightsError(
            f"{name} holds {dtype} values, which are no ordinary numbers",
            code="WEIGHTS-DTYPE",
            hint="Convert them to floating point where they were made.",
        )
    return dtype


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def _damaged(why: str) -> bytes:
    return _json([why, refusals.damaged("").code])


def _send(pipe: BinaryIO, letter: bytes, content: bytes | memoryview) -> None:
    for part in (frames.FRAME.pack(letter, len(content)), content):
        rest = memoryview(part)
        while rest:  # a pipe takes a part only
            rest = rest[os.write(pipe.fileno(), rest) :]
