"""A network in 8-bit integers beside itself in floating point: how often they agree, and which is quicker.

Integers cannot be held to 1e-4 of a logit. What counts is the class that they name, so that is what is compared.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

import numpy as np

from verydeep.deploy.images import Labelled, Pixels
from verydeep.deploy.verify import Array, FromPixels
from verydeep.errors import VerificationError

CALIBRATION = 256  # training images on which ranges are measured, unless asked otherwise
EVALUATION = 1000  # test images at most, on which engines are compared
LEAST_AGREEMENT = 0.9  # of int8 with floating point; ten points of difference mean that something went wrong
BATCH = 16  # images computed at once
ROUNDS = 20  # of the timing, at most
SECONDS = 10.0  # after which no further round begins; three are always made


@dataclass(frozen=True, slots=True)
class EngineRow:
    """One way to compute the network, measured with all others in turn."""

    engine: str
    top1: float  # share of the evaluation images whose class it names
    agreement: float  # share for which it names the same class as the floating-point file
    median_ms: float  # of a batch
    min_ms: float
    ratio: float  # of its median time to that of the floating-point file; below 1 is quicker


@dataclass(frozen=True, slots=True)
class Comparison:
    """Engines on the same images."""

    calibration: int  # images on which the integers' ranges were measured
    images: int  # on which accuracy and agreement were
    batch: int  # images in the batch that was timed
    engines: tuple[EngineRow, ...]


def compare(engines: Mapping[str, FromPixels], *, images: Labelled, calibration: int, standard: str) -> Comparison:
    """Accuracy on `images` and seconds of each engine, and both beside those of the engine called `standard`."""
    named = {name: _classes(run, images.pixels) for name, run in engines.items()}
    seconds = _seconds(engines, images.pixels[:BATCH])
    rows = tuple(
        EngineRow(
            engine=name,
            top1=float((classes == images.labels).mean()),
            agreement=float((classes == named[standard]).mean()),
            median_ms=1000 * median(seconds[name]),
            min_ms=1000 * min(seconds[name]),
            ratio=median(seconds[name]) / median(seconds[standard]),
        )
        for name, classes in named.items()
    )
    return Comparison(calibration, len(images.pixels), len(images.pixels[:BATCH]), rows)


def refuse_disagreement(comparison: Comparison, *, least: float) -> None:
    """VerificationError, code EXPORT-DISAGREES, where an engine names too rarely what the floating-point file names."""
    worst = min(comparison.engines, key=lambda row: row.agreement)
    if worst.agreement < least:
        raise VerificationError(
            f"{worst.engine} names the class that floating point names for {worst.agreement:.1%} of "
            f"{comparison.images:,} images, less than {least:.1%}; it was deleted",
            code="EXPORT-DISAGREES",
            hint="Give more images with --calibrate, or keep it with --least-agreement 0.",
        )


def _classes(run: FromPixels, pixels: Pixels) -> Array:
    """The class of each image; where a map of places is scored, the class with the highest mean."""
    logits = [run(pixels[start : start + BATCH]) for start in range(0, len(pixels), BATCH)]
    scores = np.concatenate([part.reshape(*part.shape[:2], -1).mean(-1) for part in logits])
    return scores.argmax(1)


def _seconds(engines: Mapping[str, FromPixels], pixels: Pixels) -> dict[str, list[float]]:
    """How long one batch takes, again and again; in turn, so that what slows the machine slows all engines."""
    seconds: dict[str, list[float]] = {name: [] for name in engines}
    begin = time.perf_counter()
    for number in range(ROUNDS):
        if number >= 3 and time.perf_counter() - begin > SECONDS:
            break
        for name, run in engines.items():
            start = time.perf_counter()
            run(pixels)
            seconds[name].append(time.perf_counter() - start)
    return seconds
