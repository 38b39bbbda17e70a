"""One short training, told to every framework: the thin d2l VGG, its first weights, its batches, and PyTorch's losses.

The net is that of Dive into Deep Learning (chapter 8.2) at 32 pixels and without dropout, whose draws no two frameworks
share; the images are random, the labels too: what is compared is the arithmetic of twenty steps, not what is learnt.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from verydeep.families.vgg import vgg
from verydeep.spec import Network
from verydeep.weights.initial import initial

Array = npt.NDArray[Any]

STEPS = 20
RATE = 0.001  # of plain SGD; with the book's 0.01 rounding alone moves PyTorch's own losses by 4 % in twenty steps
TOLERANCE = 1e-3  # of each loss, relative
D2L = ((1, 16), (1, 32), (2, 64), (2, 128), (2, 128))


def network() -> Network:
    return vgg(D2L, input=(1, 32, 32), classes=10, fc=(64, 64), dropout=0.0)


def weights() -> dict[str, Array]:
    return initial(network(), rule="he", seed=0)


def batches() -> Iterator[tuple[Array, Array]]:
    """Images (32, 1, 32, 32) and labels (32,) of each step."""
    stream = np.random.default_rng(0)
    for _ in range(STEPS):
        labels = stream.integers(10, size=32)
        images = 0.3 * stream.standard_normal((32, 1, 32, 32)) + 0.2 * (labels[:, None, None, None] - 4.5)
        yield images.astype(np.float32), labels


def pytorch_losses() -> list[float]:
    """The mean cross-entropy of each batch before its step."""
    import torch
    from torch import nn

    from verydeep.backends import pytorch

    model = pytorch.build(network(), weights())
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE)
    losses: list[float] = []
    for images, labels in batches():
        loss = nn.functional.cross_entropy(model(torch.from_numpy(images)), torch.from_numpy(labels))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def largest_difference(losses: list[float], reference: list[float]) -> float:
    """Relative, over all steps; both curves must be whole."""
    assert len(losses) == len(reference) == STEPS
    assert reference[-1] < 0.8 * reference[0]  # the steps have changed the network
    return max(abs(ours - theirs) / theirs for ours, theirs in zip(losses, reference, strict=True))
