"""Random numbers by counting, not by state: each value is a hash of (seed, epoch, sample index, which).

SplitMix64's finaliser (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, OOPSLA 2014). A value
cannot depend on the batch, the worker or the rank that asks for it, and nothing has to be stored to resume.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

GOLDEN = 0x9E3779B97F4A7C15  # 2**64 / the golden ratio, SplitMix64's step
MASK = 2**64 - 1

Stream = Literal["augment", "order", "hold out"]
STREAMS: dict[Stream, int] = {"augment": 1, "order": 2, "hold out": 3}  # independent uses of one seed


def draws(seed: int, *, epoch: int, indices: NDArray[np.int64], count: int) -> NDArray[np.float64]:
    """`count` numbers in [0, 1) for each sample: float64 [n, count], 53 random bits each."""
    words = bits(seed, stream="augment", epoch=epoch, indices=indices, count=count)
    return (words >> np.uint64(11)).astype(np.float64) * 2.0**-53


def bits(seed: int, *, stream: Stream, epoch: int, indices: NDArray[np.int64], count: int) -> NDArray[np.uint64]:
    """`count` random 64-bit words for each sample: uint64 [n, count]."""
    samples = np.asarray(indices).astype(np.uint64)[:, None]
    which = np.arange(count, dtype=np.uint64)[None, :]
    return _mix(_mix(opening(seed, stream=stream, epoch=epoch) ^ samples) ^ which)


def opening(seed: int, *, stream: Stream, epoch: int) -> NDArray[np.uint64]:
    """The state [1] that all samples of an epoch begin with in one use of the seed."""
    state = np.zeros(1, dtype=np.uint64)
    for word in (STREAMS[stream], seed, epoch):
        state = _mix(state ^ np.uint64(word & MASK))
    return state


def _mix(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """One step of SplitMix64: every input bit moves every output bit."""
    words = words + np.uint64(GOLDEN)
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))
