"""The boxes that the network shall give for a batch of crops: those of the images, moved with the crop and the flip.

An image with several objects of its class shows one of them in each epoch, drawn at random. A crop that shows less
than half of the object's box teaches nothing in that epoch (OverFeat, arXiv:1312.6229, section 4.2, trains on no
window that less than half of a box overlaps); any other crop has the whole box for its target, and a part of it may
lie outside the crop.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from verydeep.data.augment import DRAWS, Augment, drawn
from verydeep.data.draws import draws
from verydeep.localise.annotated import Annotated
from verydeep.localise.box import Centred
from verydeep.localise.frame import random_frame
from verydeep.preprocessing import Preprocessing

LEAST_SEEN = 0.5  # of the box's area


@dataclass(frozen=True, slots=True, eq=False)
class Targets:
    """What the crops of a batch show."""

    boxes: Centred  # [n, 4], in units of the crop
    seen: NDArray[np.bool_]  # [n], whether the crop shows enough of the object


def targets(
    data: Annotated,
    indices: NDArray[np.int64],
    *,
    augment: Augment,
    preprocessing: Preprocessing,
    seed: int,
    epoch: int,
) -> Targets:
    """The targets of the samples at `indices`, for the crops that `data.batches` cuts with the same seed and epoch."""
    rows = drawn(augment, seed=seed, epoch=epoch, indices=indices)
    which = draws(seed, epoch=epoch, indices=indices, count=DRAWS + 1)[:, DRAWS]
    boxes = np.zeros((len(indices), 4))
    seen = np.zeros(len(indices), dtype=bool)
    for place, (index, draw, choice) in enumerate(zip(indices, rows, which, strict=True)):
        height, width = (int(length) for length in data.sizes[index])
        frame = random_frame((height, width), augment=augment, preprocessing=preprocessing, draw=draw)
        box = data.boxes[index][int(choice * len(data.boxes[index]))]
        boxes[place] = frame.enter(box)
        seen[place] = frame.seen(box) >= LEAST_SEEN
    return Targets(boxes, seen)
