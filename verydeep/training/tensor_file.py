"""Tensors as the bytes of a safetensors file, one at a time (github.com/huggingface/safetensors, Format).

The library writes a file under a temporary name and mode of its own, or builds a second copy of the network in
memory. A checkpoint needs neither: the caller writes, hashes and syncs these bytes. Reading is left to the library.
"""

import json
from collections.abc import Iterator, Mapping
from itertools import accumulate, pairwise

import torch

from verydeep.errors import NumericalError, WeightsError

DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}  # the format's names


def parts(tensors: Mapping[str, torch.Tensor]) -> Iterator[bytes | memoryview]:
    """Yield the file's bytes: the header, then each tensor's values in C order.

    Views, shared storage, other memory formats and other devices need no preparation: values are written, not storage.
    """
    # Wide types first, so that every tensor starts at a multiple of its own width.
    ordered = sorted(tensors.items(), key=lambda item: (-item[1].itemsize, item[0]))
    ends = accumulate((tensor.nbytes for _, tensor in ordered), initial=0)
    header = {
        name: {"dtype": _dtype(tensor, name), "shape": list(tensor.shape), "data_offsets": span}
        for (name, tensor), span in zip(ordered, pairwise(ends), strict=True)
    }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the format pads the header with spaces, so that the values start at 8 n
    yield len(text).to_bytes(8, "little") + text
    for _, tensor in ordered:
        yield tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data


def refuse_non_finite(tensors: Mapping[str, torch.Tensor], *, kind: str) -> None:
    """Raise NumericalError TRAIN-NONFINITE for the first tensor that holds NaN or infinity; `kind` says of what."""
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            count = int(tensor.isfinite().logical_not().sum())
            raise NumericalError(
                f"{kind} {name}: {count} of {tensor.numel()} values are NaN or infinite; no checkpoint was written",
                code="TRAIN-NONFINITE",
                hint="Resume from the last checkpoint with a lower learning rate.",
            )


def _dtype(tensor: torch.Tensor, name: str) -> str:
    if tensor.dtype not in DTYPES:
        raise WeightsError(
            f"tensor {name} has type {tensor.dtype}, which a checkpoint does not hold",
            code="CKP-DTYPE",
            hint=f"Convert it to one of: {', '.join(str(dtype).removeprefix('torch.') for dtype in DTYPES)}.",
        )
    return DTYPES[tensor.dtype]
