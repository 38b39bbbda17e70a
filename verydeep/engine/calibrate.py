"""What products of 8-bit integers must know of a network: how large the inputs of its convolutions are, on images."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from verydeep.engine.engine import LEAST, MOST, Engine
from verydeep.engine.images import Images, placed
from verydeep.engine.library import LEVELS
from verydeep.engine.values import reads_without_negatives
from verydeep.errors import ConfigError
from verydeep.spec import Network

AT_ONCE = 4  # images whose inner maps are in memory together
BINS = 2**15  # of a map's histogram: at the least of the shares still two for each level
SHARES = np.geomspace(0.02, 1, 120)  # of the largest number, that are tried as the largest level


def calibrate(
    network: Network, weights: Mapping[str, npt.NDArray[Any]], images: Images, *, threads: int | None = None
) -> dict[str, float]:
    """The largest input that each convolution shall tell apart when it computes with 8-bit integers.

    It is the one, from a fiftieth of the largest number that the images give to that itself, with which rounding to 256
    levels and cutting off make the least squared error. Only convolutions have one whose inputs cannot be negative,
    such as those behind a ReLU; the others stay as they are. The result is plain numbers, which can be kept as JSON.

    Args:
        network: As for `Engine`.
        weights: As for `Engine`.
        images: (n, channels, height, width), preprocessed, float32; some dozens of the kind that will come.
        threads: As for `Engine`.

    Raises:
        ConfigError: code CALIBRATION-IMAGES, there are none, or they make what such a convolution reads infinite or
            NaN; or as in a call of `Engine`.
        WeightsError: `weights` are not those of the network.
    """
    placed(images, channels=network.input[0])  # or refused
    if not len(images):
        raise ConfigError(
            "there are no images to calibrate with",
            code="CALIBRATION-IMAGES",
            hint="Give some dozens of the kind that will be classified.",
        )
    reads = reads_without_negatives(network)
    engine, taps = Engine(network, weights, threads=threads), tuple(dict.fromkeys(reads.values()))
    largest = dict.fromkeys(taps, 0.0)
    for found in _maps(engine, images, taps):
        largest = {tap: float(np.maximum(largest[tap], found[tap].max())) for tap in taps}  # a NaN stays
    for tap in taps:
        if not math.isfinite(largest[tap]):
            raise ConfigError(
                f"with these images the output of {tap} is infinite or NaN",
                code="CALIBRATION-IMAGES",
                hint="Preprocess them as those that the network was trained on, and check its weights.",
            )
    counts = {tap: np.zeros(BINS, np.int64) for tap in taps if largest[tap] > 0}
    for found in _maps(engine, images, tuple(counts)) if counts else ():
        for tap in counts:
            places = np.minimum(found[tap] * (BINS / largest[tap]), BINS - 1).astype(np.int32)
            counts[tap] += np.bincount(places, minlength=BINS)
    ranges = {tap: largest[tap] * _best_share(count) for tap, count in counts.items()}
    return {conv: ranges[tap] for conv, tap in reads.items() if tap in ranges and LEAST <= ranges[tap] <= MOST}


def _maps(engine: Engine, images: Images, taps: tuple[str, ...]) -> Iterator[dict[str, npt.NDArray[np.float32]]]:
    """The numbers that layers give, as they lie in memory, for some images after others."""
    for first in range(0, len(images), AT_ONCE):
        found = engine.features(images[first : first + AT_ONCE], taps)
        yield {tap: np.ravel(np.asarray(map), order="K") for tap, map in found.items()}


def _best_share(counts: npt.NDArray[Any]) -> float:
    """The share of the largest number that, as the largest level, loses least; `counts` of numbers from 0 to 1."""
    centres = (np.arange(BINS) + 0.5) / BINS
    units = SHARES[:, None] / LEVELS
    nearest = np.minimum(np.rint(centres / units), LEVELS) * units
    return float(SHARES[np.argmin((counts * (nearest - centres) ** 2).sum(1))])
