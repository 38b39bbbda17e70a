"""Real images of a data set as exported models take them: rescaled and cropped, or of any size."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from verydeep.data.decode import decode
from verydeep.data.geometry import to_nchw
from verydeep.data.preprocess import fit, fit_batch
from verydeep.data.split import MemorySplit, Split, take
from verydeep.preprocessing import Preprocessing

Pixels = npt.NDArray[np.uint8]  # (n, c, h, w), RGB or grey


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """Images with their classes."""

    pixels: Pixels
    labels: npt.NDArray[np.int64]  # (n,), indices into the network's classes


def spread(split: Split, count: int, *, preprocessing: Preprocessing) -> Labelled:
    """At most `count` images, evenly spread over the split, in its order.

    Raises:
        DataError: one of them cannot be read.
    """
    chosen = take(split, np.unique(np.linspace(0, len(split) - 1, min(count, len(split))).astype(np.int64)))
    whole = replace(preprocessing, crop="center")  # so that all have one size
    if isinstance(chosen, MemorySplit):
        return Labelled(fit_batch(chosen.images, whole), chosen.labels)
    read = [fit(decode(path, channels=chosen.channels), whole) for path in chosen.paths]
    return Labelled(to_nchw(read), chosen.labels)
