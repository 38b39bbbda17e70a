"""What a network's features must beat: the pixels themselves, and the same network with freshly drawn weights."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from verydeep.data.decode import decode
from verydeep.data.geometry import resize
from verydeep.run import Run
from verydeep.settings.config import Config
from verydeep.transfer.aggregation import unit_length
from verydeep.transfer.descriptors import Source
from verydeep.weights.initial import initial

Baseline: TypeAlias = Literal["pixels", "random"]

SIDE = 32  # pixels: as many as CIFAR-10's images have


def pixels(sources: Sequence[Source], *, channels: int, side: int = SIDE) -> npt.NDArray[np.float32]:
    """Every image squeezed to side x side pixels, its own mean taken off, of length 1: (images, features).

    Raises:
        DataError: an image cannot be read.
    """
    images = (source if isinstance(source, np.ndarray) else decode(source, channels=channels) for source in sources)
    flat = np.stack([resize(image, size=(side, side)).reshape(-1) for image in images]).astype(np.float32)
    return unit_length(flat - flat.mean(axis=1, keepdims=True)).astype(np.float32)


def untrained(run: Run) -> Run:
    """The run's network with weights freshly drawn by the run's rule and seed.

    A run that grew from another, or started from one, began with other weights than these.
    """
    config = run.settings or Config()
    return replace(run, weights=initial(run.network, rule=config.init, seed=config.seed))
