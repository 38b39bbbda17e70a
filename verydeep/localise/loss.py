"""The Euclidean loss between boxes (arXiv:1409.1556, A), as Caffe writes it: half the squared distance."""

import torch
from torch import Tensor

from verydeep.localise.head import COORDINATES


def euclidean(outputs: Tensor, targets: Tensor, *, labels: Tensor, seen: Tensor) -> Tensor:
    """The sum over samples of 1/2 |b - t|^2, where b is the box that the network gives for the sample's class.

    Args:
        outputs: [n, 4], or [n, 4 x classes]: the boxes of the other classes get no gradient.
        targets: [n, 4], (centre x, centre y, width, height) in units of the crop.
        labels: [n], the class of each sample.
        seen: [n] of bool; the others count nothing.
    """
    boxes = outputs.reshape(len(outputs), -1, COORDINATES)
    own = labels if boxes.shape[1] > 1 else torch.zeros_like(labels)
    difference = boxes[torch.arange(len(boxes), device=boxes.device), own] - targets
    return 0.5 * (difference * difference).sum(1)[seen].sum()
