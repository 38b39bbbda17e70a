"""The dense form of a network over whole images: which crop each cell of its map stands for (arXiv:1409.1556, 3.2).

A network of step 32 that reads 224 pixels gives one cell for every crop of 224 whose corner is a multiple of 32. Step
and corner are those of the description: a cell's window begins at `origin` + cell x `step`, and at the network's own
size, where there is one cell, its window begins at the `origin` of the plain form. Where a network leaves the last
pixels of its crop unread, the crop of the last cell may reach so far beyond the image.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from numpy.typing import NDArray
from torch import Tensor

from verydeep.data.decode import decode
from verydeep.data.geometry import rescale, to_nchw
from verydeep.data.preprocess import normalise
from verydeep.data.split import MemorySplit, Split
from verydeep.engine.choice import EngineName
from verydeep.engine.choose import choose, ready
from verydeep.errors import ConfigError
from verydeep.localise.frame import Frame, cut_at, whole_frame
from verydeep.preprocessing import Preprocessing
from verydeep.rewrite.cut import resize
from verydeep.rewrite.dense import dense, dense_weights
from verydeep.spec import Network, Pair


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """What a dense network gives for one image at one scale."""

    outputs: NDArray[np.float32]  # [cells, outputs], row by row
    frames: tuple[Frame, ...]  # [cells], the crop that each cell stands for


@dataclass(frozen=True, slots=True, eq=False)
class DenseNetwork:
    """A network in its dense form, ready to compute."""

    network: Network  # the plain form
    preprocessing: Preprocessing
    compute: Callable[[Tensor], Tensor]
    device: torch.device

    def cells(self, image: NDArray[np.uint8], *, smallest: int) -> Cells:
        """The cells of a decoded image [h, w, c], rescaled to smallest side `smallest`."""
        height, width = image.shape[:2]
        size, placed = whole_frame((height, width), smallest=smallest, cover=self.preprocessing.size)
        rescaled = rescale(image, smallest=smallest, cover=self.preprocessing.size)
        with torch.inference_mode():
            found = self.compute(normalise(to_nchw([rescaled]), self.preprocessing).to(self.device))[0].float().cpu()
        frames = tuple(
            cut_at(placed, corner=corner, size=self.preprocessing.size) for corner in corners(self.network, size)
        )
        return Cells(found.flatten(1).T.numpy(), frames)


def corners(network: Network, size: Pair) -> Iterator[Pair]:
    """Top and left of the crop that each cell stands for, row by row, in an image of `size` (h, w) pixels.

    Raises:
        SpecError: the network has no dense form, or does not fit this size.
    """
    plain, wide = network.output, resize(dense(network), (network.input[0], *size)).output
    rows, columns = wide.shape[1:]
    for row in range(rows):
        for column in range(columns):
            top = wide.origin[0] + row * wide.step[0] - plain.origin[0]
            yield top, wide.origin[1] + column * wide.step[1] - plain.origin[1]


def dense_network(
    network: Network,
    weights: Mapping[str, npt.NDArray[Any]],
    *,
    preprocessing: Preprocessing,
    device: torch.device,
    engine: EngineName = "auto",
) -> DenseNetwork:
    """The dense form of a network with its weights.

    Raises:
        SpecError: it has none.
        WeightsError: the weights are not those of the network.
    """
    compute = ready(choose(engine, device=device), dense(network), dense_weights(network, weights), device=device)
    return DenseNetwork(network, preprocessing, compute, device)


def refuse_other_cells(first: DenseNetwork, other: DenseNetwork) -> None:
    """ConfigError, code LOCALISE-CELLS, where two networks do not look at the same crops of an image."""
    kinds = [(one.preprocessing.size, one.network.output.step, one.preprocessing.channels) for one in (first, other)]
    if kinds[0] != kinds[1]:
        raise ConfigError(
            f"{other.network.name} looks at crops of {kinds[1][0]} every {kinds[1][1]} pixels, and "
            f"{first.network.name} at crops of {kinds[0][0]} every {kinds[0][1]}",
            code="LOCALISE-CELLS",
            hint="Rate boxes with the classifier that the localiser was made from, or one of the same crop and pools.",
        )


def refuse_other_crops(first: DenseNetwork, other: DenseNetwork, *, size: Pair, smallest: int) -> None:
    """ConfigError, code LOCALISE-CELLS, where the cells of two networks stand for other crops of an image of `size`.

    Networks of equal crop and step may do so: one that leaves the last pixels of its crop unread has fewer cells.
    """
    rescaled, _ = whole_frame(size, smallest=smallest, cover=first.preprocessing.size)
    counts = [tuple(corners(one.network, rescaled)) for one in (first, other)]
    if counts[0] != counts[1]:
        raise ConfigError(
            f"at scale {smallest} {other.network.name} has {len(counts[1])} cells in an image of {size[0]}x{size[1]}, "
            f"and {first.network.name} {len(counts[0])}, or of other crops",
            code="LOCALISE-CELLS",
            hint="Rate boxes with the classifier that the localiser was made from, or one of the same crop and pools.",
        )


def pixels(split: Split, number: int) -> NDArray[np.uint8]:
    """One decoded image of a split, [h, w, c]."""
    if isinstance(split, MemorySplit):
        return split.images[number].transpose(1, 2, 0)
    return decode(split.paths[number], channels=split.channels)
