"""A PyTorch state dict in memory as NumPy arrays; one in a file is read without PyTorch, by `torch_file`."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from verydeep.errors import WeightsError
from verydeep.weights.torch_file import INSIDE

Array = npt.NDArray[Any]

NUMPY_HAS = (torch.float16, torch.float32, torch.float64)


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
