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
        VerificationError: code EXPORT-MISMATCH; logits differ by more than TOLERANCE, or name another class.
        NumericalError: the model's own logits are not finite.
    """
    worst = 0.0
    for pixels in images:
        for batch in np.split(pixels, np.cumsum(BATCHES)[:-1]):
            worst = max(worst, _check_batch(run, reference, batch))
    sizes = tuple((pixels.shape[2], pixels.shape[3]) for pixels in images)
    return Checked(worst, BATCHES, sizes, sum(len(pixels) for pixels in images))


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


def _check_batch(run: FromPixels, reference: FromPixels, pixels: Pixels) -> float:
    expected, found = reference(pixels), run(pixels)
    check_finite(expected.reshape(len(expected), -1))
    where = f"at batch {len(pixels)} of {pixels.shape[2]}x{pixels.shape[3]}"
    if found.shape != expected.shape:
        raise _mismatch(f"{where} it gives {found.shape}, the model {expected.shape}")
    error = float(np.abs(found - expected).max() / (np.abs(expected).max() or 1.0))
    if not error <= TOLERANCE:
        raise _mismatch(f"{where} a logit is off by {error:.1e} of the largest, more than {TOLERANCE:.0e}")
    if (found.argmax(1) != expected.argmax(1)).any():
        raise _mismatch(f"{where} it names other classes than the model")
    return error


def _mismatch(what: str) -> VerificationError:
    return VerificationError(
        f"the exported file is not the model: {what}; it was deleted",
        code="EXPORT-MISMATCH",
        hint="Report this with the run's network.json; another format may do meanwhile.",
    )
