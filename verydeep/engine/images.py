"""Images as an engine takes them: where they lie in memory, and in which order."""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from verydeep.errors import ConfigError

Images: TypeAlias = Tensor | npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Placed:
    """A batch (n, channels, height, width) of float32 in one piece; `memory` is kept alive with it."""

    memory: object
    address: int
    shape: tuple[int, int, int, int]
    from_planes: bool  # in the order of the shape; otherwise channels last


def placed(images: Images, *, channels: int) -> Placed:
    """The images where they are, or copied where they have gaps.

    Raises:
        ConfigError: code ENGINE-IMAGES; they are no batch of float32 images with so many channels in this memory.
    """
    if not isinstance(images, Tensor | np.ndarray):
        raise _refused(f"images are a tensor or an array, not {type(images).__name__}")
    if images.dtype not in (torch.float32, np.float32):
        raise _refused(f"images are float32, not {images.dtype}")
    if images.ndim != 4 or images.shape[1] != channels:
        raise _refused(f"images are (n, {channels}, height, width), not {tuple(images.shape)}")
    if isinstance(images, Tensor):
        return _placed_tensor(images)
    if not images.flags.aligned:
        images = images.copy()
    found = _order(images.shape, tuple(stride // images.itemsize for stride in images.strides))
    kept = np.ascontiguousarray(images) if found is None else images
    return Placed(kept, kept.ctypes.data, _four(images.shape), found != "channels_last")


def _placed_tensor(images: Tensor) -> Placed:
    if images.device.type != "cpu" or images.layout != torch.strided:
        raise _refused(f"images are dense and in the CPU's memory, not on {images.device} and {images.layout}")
    found = _order(tuple(images.shape), images.stride())
    kept = images.detach().contiguous() if found is None else images.detach()
    return Placed(kept, kept.data_ptr(), _four(images.shape), found != "channels_last")


def _order(shape: tuple[int, ...], strides: tuple[int, ...]) -> str | None:
    """How a batch lies in one piece of memory; None where it does not. What is both counts as channels last."""
    _, c, h, w = shape
    for name, steps in (("channels_last", (h * w * c, 1, w * c, c)), ("planes", (c * h * w, h * w, w, 1))):
        if all(size == 1 or stride == step for size, stride, step in zip(shape, strides, steps, strict=True)):
            return name
    return None


def _four(shape: Any) -> tuple[int, int, int, int]:
    n, c, h, w = shape
    return n, c, h, w


def _refused(why: str) -> ConfigError:
    return ConfigError(why, code="ENGINE-IMAGES", hint="Convert them first; vd.build gives a model that takes others.")
