"""The order of averaging for images of one shape: map, softmax, windows, mirror images (arXiv:1409.1556, section 3.2).

Dense: the logits of the score map are averaged over space, then softmax. Crops: softmax of each crop, then the mean.
Both: the mean of these two. Then, in every case, the mean over the image and its mirror image, and `posteriors` takes
the mean over scales. All means and softmax are float64.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from verydeep.evaluation.dense import mean_scores
from verydeep.evaluation.protocol import MAPS, Protocol
from verydeep.evaluation.strips import Part
from verydeep.evaluation.windows import WINDOWS, Size

Pixels: TypeAlias = NDArray[np.uint8]  # images [n, c, h, w]
Scores: TypeAlias = Callable[[Pixels], Tensor]  # to logits (n, classes), or to their map (n, classes, rows, columns)


def posterior(
    scores: Scores, pixels: Pixels, *, protocol: Protocol, parts: Sequence[Part], crop: Size | None, at_once: int
) -> Tensor:
    """The probability of each class at one scale, float64 (n, classes).

    Args:
        scores: The network.
        pixels: Whole images of one size.
        protocol: Its scales are not looked at.
        parts: For the score map; see `strips.parts`.
        crop: Height and width of a window; None is the whole image.
        at_once: Windows of all images that are computed together.
    """
    found: list[Tensor] = []
    for turned in (unturned, mirrored) if protocol.flip else (unturned,):
        if protocol.kind in MAPS:
            found.append(softmax(mean_scores(scores, turned(pixels), parts=parts)))
        if protocol.kind != "dense":
            windows = _of_windows(scores, pixels, turned=turned, kind=protocol.kind, crop=crop, at_once=at_once)
            found.append(windows)
    return mean(found)


def _of_windows(
    scores: Scores, pixels: Pixels, *, turned: Callable[[Pixels], Pixels], kind: str, crop: Size | None, at_once: int
) -> Tensor:
    """The mean of the windows' posteriors; each window is turned, not the image, so that all mirror a window."""
    whole = pixels.shape[2], pixels.shape[3]
    height, width = crop or whole
    crops = [
        pixels[:, :, top : top + height, left : left + width]
        for top, left in WINDOWS[kind](whole, size=(height, width))
    ]
    together = max(1, at_once // len(pixels))
    total = torch.zeros(())
    for first in range(0, len(crops), together):
        some = crops[first : first + together]
        found = softmax(_flat(scores(turned(np.concatenate(some)))))
        total = total + found.unflatten(0, (len(some), len(pixels))).sum(0)
    return total / len(crops)


def _flat(scores: Tensor) -> Tensor:
    """Logits (n, classes), whether they come as a map or not."""
    return scores if scores.ndim == 2 else scores.double().mean((2, 3))


def softmax(scores: Tensor) -> Tensor:
    """Logits (n, classes) to probabilities, float64; NaN for an image with a logit that is not finite."""
    exact = scores.double()
    is_finite = exact.isfinite().all(1, keepdim=True)
    return exact.softmax(1).where(is_finite, torch.nan)


def mean(parts: Iterable[Tensor]) -> Tensor:
    """The mean of tensors of one shape."""
    total, count = torch.zeros(()), 0
    for part in parts:
        total, count = total + part, count + 1
    return total / count


def unturned(pixels: Pixels) -> Pixels:
    """The images as they are."""
    return pixels


def mirrored(pixels: Pixels) -> Pixels:
    """Left and right exchanged."""
    return pixels[:, :, :, ::-1]
