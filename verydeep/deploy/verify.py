"""An exported file is run on real images beside the PyTorch model before anyone may have it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from verydeep.backends import pytorch
from verydeep.data.preprocess import normalise
from verydeep.deploy.bundle import Bundle
from verydeep.deploy.formats import Runner
from verydeep.deploy.images import Pixels
from verydeep.errors import VerificationError
from verydeep.evaluation.metrics import check_finite

Array: TypeAlias = npt.NDArray[Any]
FromPixels: TypeAlias = Callable[[Pixels], Array]  # to logits (n, classes) or, of any size, (n, classes, h', w')

TOLERANCE = 1e-4  # of the largest logit of a batch
BATCHES = (1, 2, 7)
COUNT = sum(BATCHES)  # images that are needed, each shown once


@dataclass(frozen=True, slots=True)
class Checked:
    """What a file was found to be: as good as the model, on these inputs."""

    error: float  # largest difference of two logits, in units of the largest logit of the batch
    batches: tuple[int, ...]
    sizes: tuple[tuple[int, int], ...]  # (h, w) in pixels
    images: int


def check(run: FromPixels, *, reference: FromPixels, images: Sequence[Pixels]) -> Checked:
    """Hold a file to the PyTorch model, with images of each size in batches of 1, 2 and 7.

    Args:
        run: Computes with the file.
        reference: Computes with the model.
        images: For each size that is checked, COUNT images.

    Raises:
        VerificationError: code EXPORT-MISMATCH; logits differ by more than TOLERANCE, or name another class than the
            one that the model prefers by more than that.
        NumericalError: the model's own logits are not finite.
    """
    worst = 0.0
    for pixels in images:
        for batch in _batches(pixels):
            worst = max(worst, _check_batch(run, reference, batch))
    sizes = tuple((pixels.shape[2], pixels.shape[3]) for pixels in images)
    return Checked(worst, BATCHES, sizes, sum(len(pixels) for pixels in images))


def check_finite_like(run: FromPixels, *, reference: FromPixels, images: Sequence[Pixels]) -> None:
    """Hold a file whose numbers are rounded to the shape of the model's logits, and to finite ones; as `check`."""
    for pixels in images:
        for batch in _batches(pixels):
            _compute(run, reference, batch)


def model_of(bundle: Bundle) -> FromPixels:
    """The PyTorch model of a bundle, behind its preprocessing."""
    model = pytorch.build(bundle.network, bundle.weights).eval()

    def run(pixels: Pixels) -> Array:
        with torch.inference_mode():
            return model(normalise(pixels, bundle.preprocessing)).numpy()

    return run


def from_pixels(run: Runner, bundle: Bundle) -> FromPixels:
    """What computes with an exported bundle, behind the preprocessing that is not inside."""
    return lambda pixels: run(normalise(pixels, bundle.preprocessing).numpy())


def _batches(pixels: Pixels) -> list[Pixels]:
    return np.split(pixels, np.cumsum(BATCHES)[:-1])


def _check_batch(run: FromPixels, reference: FromPixels, pixels: Pixels) -> float:
    expected, found = _compute(run, reference, pixels)
    largest = float(np.abs(expected).max()) or 1.0
    error = float(np.abs(found - expected).max()) / largest
    if error > TOLERANCE:
        raise _mismatch(pixels, f"a logit is off by {error:.1e} of the largest, more than {TOLERANCE:.0e}")
    meant, named = (np.take_along_axis(expected, made.argmax(1, keepdims=True), 1) for made in (expected, found))
    if (meant - named > TOLERANCE * largest).any():
        raise _mismatch(pixels, "it names other classes than the model")
    return error


def _compute(run: FromPixels, reference: FromPixels, pixels: Pixels) -> tuple[Array, Array]:
    """The logits of the model and as many of the file, all finite."""
    expected, found = reference(pixels), run(pixels)
    check_finite(expected.reshape(len(expected), -1))
    if found.shape != expected.shape:
        raise _mismatch(pixels, f"it gives {found.shape}, the model {expected.shape}")
    if not np.isfinite(found).all():
        raise _mismatch(pixels, "a logit is not a finite number")
    return expected, found


def _mismatch(pixels: Pixels, what: str) -> VerificationError:
    return VerificationError(
        f"the exported file is not the model: at batch {len(pixels)} of {pixels.shape[2]}x{pixels.shape[3]} {what}; "
        "it was deleted",
        code="EXPORT-MISMATCH",
        hint="Report this with the run's network.json; another format may do meanwhile.",
    )
