"""Reading a safetensors file without any framework (github.com/huggingface/safetensors, Format)."""

import json
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy.typing as npt
import safetensors
from safetensors import SafetensorError

from verydeep.errors import WeightsError
from verydeep.weights.numbers import from_bfloat16
from verydeep.weights.regular_file import opened

Array = npt.NDArray[Any]

_library: Any = safetensors  # compiled, and without types

MOST_HEADER = 4_000_000  # bytes; ours of ResNet-152 has 0.1 MB, the library would take 100 MB of JSON


def read(path: Path) -> dict[str, Array]:
    """The arrays of the file; bfloat16 as float32, all else as it is stored.

    Raises:
        WeightsError: it is no safetensors file, is damaged, or holds a type that NumPy lacks.
    """
    with _open(path) as file:
        places = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        halves = [name for name, place in places.items() if place.get_dtype() == "BF16"]
        arrays = {name: file.get_tensor(name) for name in places if name not in halves}
        if halves:  # a type that NumPy and so the library's reader for it lack
            data: dict[str, bytes] = {name: tensor["data"] for name, tensor in _library.deserialize(path.read_bytes())}
            arrays |= {name: from_bfloat16(data[name]).reshape(places[name].get_shape()) for name in halves}
        return {name: arrays[name] for name in places}


def texts(path: Path) -> dict[str, str]:
    """The texts in the file's header; WeightsError as in `read`."""
    with _open(path) as file:
        return file.metadata() or {}


@contextmanager
def _open(path: Path) -> Generator[Any]:
    try:
        _check_header(path)
        with _library.safe_open(path, framework="numpy") as file:
            yield file
    except (SafetensorError, OSError, ValueError, RecursionError, AttributeError) as error:
        # AttributeError: a type that NumPy lacks; the other two come from a header that is not JSON
        raise WeightsError(
            f"{path} cannot be read as a safetensors file: {error}",
            code="WEIGHTS-UNREADABLE",
            hint="Check the path; copy or download the file again.",
        ) from None


def _check_header(path: Path) -> None:
    """What the library leaves to chance: how long the header is, and names that are given twice."""
    with opened(path) as file:
        length = int.from_bytes(file.read(8), "little")
        if length > MOST_HEADER:
            raise ValueError(f"a header of {length} bytes")
        header = json.loads(file.read(length).decode(), object_pairs_hook=_without_repeats)
    if not isinstance(header, dict):
        raise ValueError("a header that is no JSON object")


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a header that gives a name twice")
    return found
