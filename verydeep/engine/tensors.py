"""PyTorch's tensors as the kernels see them: maps with channels last, and bytes to make notes in."""

import torch
from torch import Tensor

from verydeep.engine.library import Map


def map_of(x: Tensor) -> Map:
    """A map that is x (n, c, h, w), which has channels last in memory and must outlive it."""
    return fill(Map(), x)


def fill(map: Map, x: Tensor) -> Map:
    """`map`, made that of x (n, c, h, w), which has channels last in memory and must outlive it."""
    map.data, map.pixel = x.data_ptr(), x.shape[1]
    map.n, map.c, map.h, map.w = x.shape
    return map


def notes_of(size: int) -> Tensor:
    """So many bytes, on a cache line as PyTorch gives them."""
    return torch.empty(size, dtype=torch.uint8)
