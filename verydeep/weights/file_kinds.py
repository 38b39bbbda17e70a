"""What kind of file holds these weights? Its bytes tell, never its name; then the reader of that kind reads it.

| kind | how it begins | written by |
| --- | --- | --- |
| safetensors | a length, then `{` | verydeep, timm, Hugging Face |
| torch | a zip that is not Keras's, or a pickle | `torch.save` |
| hdf5 | 0x89 HDF | Keras's `save_weights`, Keras 2, flaxmodels |
| keras | a zip with model.weights.h5 | Keras 3 |
| caffemodel | a name or a layer of a NetParameter | Caffe |
| mat | 124 bytes of text, then a version | MATLAB, for MatConvNet |
| mxnet | 0x112 | MXNet's `save_parameters` |

A file that is of two kinds at once was made to be taken for one and read as the other; it is refused.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy.typing as npt

from verydeep.errors import WeightsError
from verydeep.weights import archive, caffe_file, confined, refusals, tensor_file, torch_file
from verydeep.weights.regular_file import opened

Array = npt.NDArray[Any]

ZIP = b"PK\x03\x04"
ZIP_END = b"PK\x05\x06"
ZIP_END_ZONE = 22 + 0xFFFF  # bytes before the end of a file in which programs look for ZIP_END
PICKLE = b"\x80"
HDF5 = b"\x89HDF\r\n\x1a\n"
MXNET = (0x112).to_bytes(8, "little") + bytes(8)
TAR = b"ustar"  # at byte 257
MAT = (b"\x00\x01IM", b"\x01\x00MI")  # at byte 124: version 1, little-endian or big-endian
MAT_73 = (b"\x00\x02IM", b"\x02\x00MI")  # version 2, which is HDF5 behind 512 bytes


@dataclass(frozen=True, slots=True, eq=False)
class Content:
    """What a file holds, under its own names and in its own layout."""

    kind: str
    arrays: dict[str, Array]
    about: dict[str, Any]  # JSON: what the file says besides; the reader of each kind tells what


def read(path: Path) -> Content:
    """All arrays of a file of weights, and what else it says of them.

    Raises:
        WeightsError: the file is of no known kind or of two, is damaged, needs code to be read, or claims too much.
        ConfigError: a package that reads such files is not installed.
    """
    try:
        with opened(path) as file:
            kind = find(file)
            file.seek(0)
            if kind == "safetensors":
                arrays, about = tensor_file.read(path), {"texts": tensor_file.texts(path)}
            elif kind == "torch":
                arrays, about = torch_file.parse(file), {}
            else:
                arrays, about = confined.read(file, kind=kind)
        if not arrays:
            raise refusals.foreign("there are no arrays in it", hint="Save the weights too, not the description alone.")
    except WeightsError as error:
        message = error.message if str(path) in error.message else f"{path}: {error.message}"
        raise WeightsError(message, code=error.code, hint=error.hint) from None
    return Content(kind, arrays, about)


def find(file: BinaryIO) -> str:
    """The kind of an open file, by its bytes.

    Raises:
        WeightsError: it is of no kind that is read here, or of several.
    """
    kinds = sorted(set(_kinds(file)))
    if kinds == ["hdf5", "mat 7.3"]:
        raise refusals.foreign(
            "it is a MATLAB file of version 7.3", hint="Save it in MATLAB with save(file, '-struct', 'net', '-v7')."
        )
    if kinds == ["tar"]:
        raise refusals.code("contains code, or may (a tar archive of pickles, as PyTorch 0.1 wrote)")
    if len(kinds) > 1:
        raise refusals.damaged(f"it can be read as {' and as '.join(kinds)}")
    if not kinds:
        raise refusals.foreign(
            "it is of no kind that is read here", hint="Is it a complete download, or of another framework?"
        )
    if kinds == ["zip"]:
        return "keras" if {"config.json", "model.weights.h5"} <= archive.members(file).keys() else "torch"
    return kinds[0]


def _kinds(file: BinaryIO) -> Iterator[str]:
    """All kinds of file that some program could take this one for."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(1024)
    if head[8:9] == b"{" and head[5:8] == bytes(3):  # a header below 2**40 bytes
        yield "safetensors"
    if head.startswith(PICKLE):
        yield "torch"
    if head.startswith(MXNET):
        yield "mxnet"
    if head[124:128] in MAT:
        yield "mat"
    if head[124:128] in MAT_73:
        yield "mat 7.3"
    if head[257:262] == TAR:
        yield "tar"
    if caffe_file.is_net(head, size):
        yield "caffemodel"
    if head.startswith(ZIP) or _ends_as_zip(file, size):
        yield "zip"
    place = 0
    while place < size:  # HDF5 may begin at 0, 512, 1024, 2048 ...
        file.seek(place)
        if file.read(len(HDF5)) == HDF5:
            yield "hdf5"
        place = place * 2 or 512


def _ends_as_zip(file: BinaryIO, size: int) -> bool:
    """Whether a program that looks for a zip from the end of the file would find one: an end, and what it points to."""
    begin = max(0, size - ZIP_END_ZONE)
    file.seek(begin)
    tail = file.read()
    place = tail.rfind(ZIP_END)
    while place >= 0:
        length = int.from_bytes(tail[place + 12 : place + 16], "little")
        file.seek(max(0, begin + place - length))
        if file.read(4) == b"PK\x01\x02" or tail[max(0, place - 20) :].startswith(b"PK\x06\x07"):
            return True
        place = tail.rfind(ZIP_END, 0, place)
    return False
