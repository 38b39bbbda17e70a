"""Reading a safetensors file without any framework (github.com/huggingface/safetensors, Format)."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy.typing as npt
import safetensors
from safetensors import SafetensorError

from verydeep.errors import WeightsError
from verydeep.weights.numbers import from_bfloat16

Array = npt.NDArray[Any]

_library: Any = safetensors  # compiled, and without types


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
        with _library.safe_open(path, framework="numpy") as file:
            yield file
    except (SafetensorError, OSError, AttributeError) as error:  # AttributeError: a type that NumPy lacks
        raise WeightsError(
            f"{path} cannot be read as a safetensors file: {error}",
            code="WEIGHTS-UNREADABLE",
            hint="Check the path; copy or download the file again.",
        ) from None
