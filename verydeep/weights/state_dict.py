"""A PyTorch state dict, from a file or from memory, as NumPy arrays: tensors only, nothing that runs."""

import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from verydeep.errors import WeightsError

Array = npt.NDArray[Any]

INSIDE = "If weights are inside it, load them from there: torch.load(path, weights_only=True)['model'] or the like."
NUMPY_HAS = (torch.float16, torch.float32, torch.float64)


def read(path: Path) -> dict[str, Array]:
    """The state dict in a file of `torch.save`, of its zip or its older form, as `arrays` gives it.

    Raises:
        WeightsError: the file needs code to be read, unpacks to more than it is, is damaged, or is no state dict.
    """
    _inspect_archive(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what torch advises on foreign files is said by the errors below
            with path.open("rb") as file:  # of a path torch would look at the extension
                state = torch.load(file, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise _code(path, error) from None
    except Exception as error:
        raise _unreadable(path, str(error).partition("\n")[0] or type(error).__name__) from None
    if not isinstance(state, Mapping):
        raise WeightsError(
            f"{path} holds a {type(state).__name__}, not a state dict", code="WEIGHTS-FORMAT", hint=INSIDE
        )
    try:
        return arrays(cast("Mapping[str, Any]", state))
    except WeightsError as error:
        raise WeightsError(f"{path}: {error.message}", code=error.code, hint=error.hint) from None


def arrays(state: Mapping[str, Any]) -> dict[str, Array]:
    """Tensors, or arrays, as NumPy arrays that share their memory; types that NumPy lacks (bfloat16) as float32.

    Raises:
        WeightsError: a value is no ordinary tensor or array; names its key.
    """
    return {
        str(key): value if isinstance(value, np.ndarray) else _array(str(key), value) for key, value in state.items()
    }


def _array(key: str, value: object) -> Array:
    if not isinstance(value, Tensor):
        raise WeightsError(f"{key} is a {type(value).__name__}, not a tensor", code="WEIGHTS-FORMAT", hint=INSIDE)
    try:
        _refuse_overstated(key, value)
        tensor = value.detach().cpu()
        is_foreign = tensor.is_floating_point() and tensor.dtype not in NUMPY_HAS
        return (tensor.float() if is_foreign else tensor).numpy()
    except (TypeError, RuntimeError) as error:
        raise WeightsError(
            f"{key} is no ordinary tensor: {str(error).partition(chr(10))[0]}",
            code="WEIGHTS-DTYPE",
            hint="Save it dense, floating-point and with its values, not sparse, quantised, conjugate or on meta.",
        ) from None


def _refuse_overstated(key: str, tensor: Tensor) -> None:
    """A stride of 0 lets a file of a few bytes claim any number of values."""
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise WeightsError(
            f"{key} claims {tensor.numel()} numbers, more than are stored",
            code="WEIGHTS-CORRUPT",
            hint="Save it with .contiguous().",
        )


def _inspect_archive(path: Path) -> None:
    """Refuse, before torch opens it, a zip that is a TorchScript program or that unpacks to more than it is."""
    try:
        with path.open("rb") as file:
            if file.read(4) != b"PK\x03\x04":  # how torch.load tells its zip from its older form
                return
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise _unreadable(path, str(error)) from None
    if any(member.filename.endswith("/constants.pkl") for member in members):
        raise _refused(path, "contains code (a TorchScript program)")
    if sum(member.file_size for member in members) > path.stat().st_size:
        raise _refused(path, "unpacks to more bytes than it has, which torch.save never writes")


def _code(path: Path, error: UnpicklingError) -> WeightsError:
    found = re.search(r"GLOBAL (\S+)", str(error))
    return _refused(path, f"contains code ({found[1]})" if found else "contains code, or something else than tensors")


def _refused(path: Path, why: str) -> WeightsError:
    return WeightsError(
        f"{path} {why}; refused",
        code="WEIGHTS-CODE",
        hint="Where you trust it, load it with its own program and save model.state_dict() alone.",
    )


def _unreadable(path: Path, why: str) -> WeightsError:
    return WeightsError(
        f"{path} cannot be read as a PyTorch file: {why}", code="WEIGHTS-UNREADABLE", hint="Copy or download it again."
    )
