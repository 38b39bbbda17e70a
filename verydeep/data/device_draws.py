"""The random numbers of `draws.py` computed on a device, bit for bit: no draw has to be made and copied by the host.

PyTorch shifts and compares 64-bit integers with their sign, NumPy's have none: shifted-in signs are masked off, and
order is restored by turning the highest bit round.
"""

import torch
from torch import Tensor

from verydeep.data.draws import GOLDEN, Stream, opening

SIGN = -(2**63)


def draws(seed: int, *, epoch: int, indices: Tensor, which: int) -> Tensor:
    """Draw number `which` in [0, 1) of each sample: float64 [n], column `which` of `draws.draws`."""
    words = _bits(seed, stream="augment", epoch=epoch, indices=indices, which=which)
    return _shifted(words, 11).double() * 2.0**-53


def permutation(n: int, *, seed: int, epoch: int, device: torch.device) -> Tensor:
    """The order in which an epoch shows the n samples, int64 [n]: that of `batches.permutation`."""
    keys = _bits(seed, stream="order", epoch=epoch, indices=torch.arange(n, device=device), which=0)
    return torch.argsort(keys ^ SIGN, stable=True)


def _bits(seed: int, *, stream: Stream, epoch: int, indices: Tensor, which: int) -> Tensor:
    begun = _signed(int(opening(seed, stream=stream, epoch=epoch)[0]))
    return _mix(_mix(indices ^ begun) ^ which)


def _mix(words: Tensor) -> Tensor:
    words = words + _signed(GOLDEN)
    words = (words ^ _shifted(words, 30)) * _signed(0xBF58476D1CE4E5B9)
    words = (words ^ _shifted(words, 27)) * _signed(0x94D049BB133111EB)
    return words ^ _shifted(words, 31)


def _shifted(words: Tensor, places: int) -> Tensor:
    """Each word moved right, zeros from the left."""
    return (words >> places) & (2 ** (64 - places) - 1)


def _signed(word: int) -> int:
    """The same 64 bits as a number with a sign."""
    return word - 2**64 if word >= 2**63 else word
