"""Reading what torch.save wrote, without PyTorch: a pickle that names storages, and the bytes of these storages.

Since PyTorch 1.6 the file is a zip in which each storage is a member; before, five pickles and then all storages one
after the other. torch.load is not used: even for weights alone it calls more functions than a state dict needs, does
not compare checksums, and reserves what a file claims.
"""

import io
import math
import os
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import as_strided

from verydeep.errors import WeightsError
from verydeep.weights import archive, refusals, torch_pickle
from verydeep.weights.numbers import from_bfloat16
from verydeep.weights.torch_pickle import Parameter, Storage, StoredTensor

Array = npt.NDArray[Any]

TYPES = {
    "FloatStorage": "f4", "DoubleStorage": "f8", "HalfStorage": "f2", "BFloat16Storage": "u2", "LongStorage": "i8",
    "IntStorage": "i4", "ShortStorage": "i2", "CharStorage": "i1", "ByteStorage": "u1", "BoolStorage": "?",
}  # fmt: skip
MAGIC = 0x1950A86A20F9469CFC6C  # the first pickle of the older form
VERSION = 1001  # the second one
MOST_AXES = 32

INSIDE = "If weights are inside it, load them from there: torch.load(path, weights_only=True)['model'] or the like."


class _Rows:
    """Where each storage lies in the file; each is read once, also where several tensors share it."""

    def __init__(self, file: BinaryIO, *, order: str) -> None:
        self.file = file
        self.order = order
        self.starts: dict[str, int] = {}
        self.read: dict[str, Array] = {}

    def __getitem__(self, storage: Storage) -> Array:
        """All numbers of a storage, bfloat16 as float32."""
        if storage.key not in self.read:
            row = np.empty(storage.count, self.order + TYPES[storage.kind])
            self.file.seek(self.starts[storage.key])
            if self.file.readinto(row.data.cast("B")) != row.nbytes:  # type: ignore[attr-defined]
                raise refusals.damaged(f"storage {storage.key} is cut short")
            is_bfloat16 = storage.kind == "BFloat16Storage"
            self.read[storage.key] = from_bfloat16(row.astype("<u2").tobytes()) if is_bfloat16 else row
        return self.read[storage.key]


def parse(file: BinaryIO) -> dict[str, Array]:
    """The tensors of the state dict as arrays, bfloat16 as float32.

    Raises:
        WeightsError: the file needs code to be read, is damaged, claims more than it holds, or is no state dict.
    """
    file.seek(0)
    state, rows = _zip(file) if file.read(4) == b"PK\x03\x04" else _older(file)
    if not isinstance(state, dict):
        raise refusals.foreign(f"it holds a {type(state).__name__}, not a state dict", hint=INSIDE)
    tensors = cast("dict[Any, Any]", state)
    for key in tensors:
        if not isinstance(key, str):
            raise refusals.foreign(f"its names are not all texts: there is a {type(key).__name__}", hint=INSIDE)
        if not key.isprintable():
            raise refusals.damaged("a key of the state dict cannot be one")
    return {key: _array(key, value, rows) for key, value in tensors.items()}


def _zip(file: BinaryIO) -> tuple[object, _Rows]:
    members = archive.members(file)
    root = next(iter(members), "").partition("/")[0]
    if any(name.endswith("/constants.pkl") or name.startswith(f"{root}/code/") for name in members):
        raise refusals.code("contains code (a TorchScript program)")
    if f"{root}/data.pkl" not in members or any(not name.startswith(f"{root}/") for name in members):
        raise refusals.foreign("it is a zip archive, but not one of torch.save", hint=INSIDE)
    for name in members:
        if name.endswith((".pkl", ".py")) and name != f"{root}/data.pkl":
            raise refusals.code(f"contains code, or may ({name})")
    archive.verify(file, members.values())
    state, storages = torch_pickle.load(io.BytesIO(archive.content(file, members[f"{root}/data.pkl"])))
    order = members.get(f"{root}/byteorder")
    rows = _Rows(file, order=">" if order and archive.content(file, order) == b"big" else "<")
    for storage in storages.values():
        member = members.get(f"{root}/data/{storage.key}")
        if member is None or _nbytes(storage) != member.size:
            raise refusals.damaged(f"storage {storage.key} does not hold {storage.count} numbers")
        rows.starts[storage.key] = member.start
    return state, rows


def _older(file: BinaryIO) -> tuple[object, _Rows]:
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    (magic, _), (version, _) = torch_pickle.load(file), torch_pickle.load(file)
    if (magic, version) != (MAGIC, VERSION):
        raise refusals.foreign("it is a pickle, but not one of torch.save", hint=INSIDE)
    torch_pickle.load(file)  # what the machine was that wrote it
    (state, storages), (keys, _) = torch_pickle.load(file), torch_pickle.load(file)
    keys = cast("list[Any]", keys) if isinstance(keys, list) else []
    known = {key for key in keys if isinstance(key, str) and key in storages}
    if len(keys) != len(storages) or known != storages.keys():
        raise refusals.damaged("its list of storages is not the one that its tensors need")
    rows = _Rows(file, order="<")
    place = file.tell()
    for key in keys:
        if file.read(8) != storages[key].count.to_bytes(8, "little"):
            raise refusals.damaged(f"storage {key} does not hold {storages[key].count} numbers")
        rows.starts[key] = place + 8
        place += 8 + _nbytes(storages[key])
        if place > size:  # and perhaps beyond where any file can end
            break
        file.seek(place)
    if place != size:
        raise refusals.damaged("it is cut short or goes on behind its last storage")
    return state, rows


def _nbytes(storage: Storage) -> int:
    if storage.kind not in TYPES:
        raise WeightsError(
            f"storage {storage.key} is a {storage.kind}, whose numbers are no ordinary ones",
            code="WEIGHTS-DTYPE",
            hint="Save the weights dense and in floating point, not quantised or complex.",
        )
    return storage.count * np.dtype(TYPES[storage.kind]).itemsize


def _array(key: str, value: object, rows: _Rows) -> Array:
    tensor = value.tensor if isinstance(value, Parameter) else value
    if not isinstance(tensor, StoredTensor):
        raise refusals.foreign(f"{key} is a {type(tensor).__name__}, not a tensor", hint=INSIDE)
    _refuse_impossible(key, tensor)
    row = rows[tensor.storage][tensor.offset :]
    return as_strided(row, tensor.shape, [stride * row.itemsize for stride in tensor.strides])


def _refuse_impossible(key: str, tensor: StoredTensor) -> None:
    """Refuse a tensor that reaches beyond its storage, or that claims a number for two of its places."""
    numbers = (tensor.offset, *tensor.shape, *tensor.strides)
    room = math.prod(max(1, length) for length in tensor.shape)  # NumPy counts the other axes of an empty array too
    if len(tensor.shape) > MOST_AXES or min(numbers) < 0 or max(*numbers, room) >= torch_pickle.MOST_NUMBERS:
        raise refusals.damaged(f"{key} has a shape that cannot be")
    last = tensor.offset + sum(
        (length - 1) * stride for length, stride in zip(tensor.shape, tensor.strides, strict=True)
    )
    count = math.prod(tensor.shape)
    if count and (count > tensor.storage.count or last >= tensor.storage.count):
        raise refusals.damaged(f"{key} claims {count} numbers, more than are stored")
    reach = 0
    for stride, length in sorted(zip(tensor.strides, tensor.shape, strict=True)):
        if length > 1 and stride <= reach:
            raise refusals.damaged(f"{key} uses the same numbers in several places")
        reach += (length - 1) * stride
