"""The dense form's score map of whole images, averaged over space (arXiv:1409.1556, section 3.2)."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from verydeep.evaluation.strips import Part


def mean_scores(
    compute: Callable[[NDArray[np.uint8]], Tensor], pixels: NDArray[np.uint8], *, parts: Sequence[Part]
) -> Tensor:
    """The mean of each class's logits over the score map, float64 (n, classes).

    Args:
        compute: The score map (n, classes, rows, columns) of images [n, c, h, w] of any size.
        pixels: Images [n, c, h, w] of one size.
        parts: Of an image of this size, as `strips.parts` gives them.
    """
    total, cells = torch.zeros(()), 0
    for part in parts:
        rows, columns = part.rows, part.columns
        map = compute(pixels[:, :, rows.first : rows.last, columns.first : columns.last])
        right = map[:, :, rows.skip : rows.skip + rows.count, columns.skip : columns.skip + columns.count]
        total = total + right.double().sum((2, 3))
        cells += rows.count * columns.count
    return total / cells
