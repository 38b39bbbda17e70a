"""Whether there is memory for an image at a scale, asked before anything is computed."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from verydeep.data.decode import size_of
from verydeep.errors import ConfigError, DataError, ResourceError
from verydeep.evaluation.alike import shape_at
from verydeep.preprocessing import Preprocessing
from verydeep.record.machine import memory_bytes
from verydeep.report.memory import inference_bytes
from verydeep.rewrite.cut import resize
from verydeep.spec import Network, Pair

GIGABYTE = 1_000_000_000  # bytes, as memory is sold
AT_ONCE = 2**29  # bytes of maps of images that are computed together


def refuse_small(scales: Iterable[int], network: Network) -> None:
    """Refuse scales at which the image is smaller than what the network reads.

    Raises:
        ConfigError: code SCALE-SMALL.
    """
    least = max(network.input[1:])
    for scale in scales:
        if scale < least:
            raise ConfigError(
                f"scale {scale} is below the {least} pixels that {network.name} reads",
                code="SCALE-SMALL",
                hint=f"Give --scales of {least} or more.",
            )


def refuse_large(shapes: set[Pair], network: Network, *, scales: Iterable[int], preprocessing: Preprocessing) -> None:
    """Refuse scales at which one of the images needs more memory than this machine has.

    Args:
        shapes: Of the images as they are, (height, width).
        network: Takes any size.
        scales: Smallest sides of the rescaled images.
        preprocessing: Of the images.

    Raises:
        ResourceError: code SCALE-MEMORY; names the smallest such scale.
    """
    has = memory_bytes()
    if has is None:
        return
    for scale in sorted(scales):
        fitted = (shape_at(shape, scale=scale, preprocessing=preprocessing) for shape in shapes)
        largest = max(fitted, key=lambda size: size[0] * size[1], default=None)
        if largest is None or (needs := bytes_of_one(network, largest)) <= has:
            continue
        raise ResourceError(
            f"scale {scale} needs about {needs / GIGABYTE:.1f} GB for an image of {largest[0]}x{largest[1]} pixels, "
            f"and this machine has {has / GIGABYTE:.1f} GB",
            code="SCALE-MEMORY",
            hint="Give smaller --scales.",
        )


def bytes_of_one(network: Network, size: Pair) -> int:
    """The memory for the maps of one image of this size."""
    return inference_bytes(resize(network, (network.input[0], *size)))


def at_once(network: Network, size: Pair, *, most: int) -> int:
    """How many images of this size are computed together: `most`, or as many as have room."""
    return max(1, min(most, AT_ONCE // bytes_of_one(network, size)))


def sizes(sources: Iterable[str | Path | npt.NDArray[np.uint8]]) -> set[Pair]:
    """The sizes of all images that can be read."""
    return set(filter(None, map(image_size, sources)))


def image_size(source: str | Path | npt.NDArray[np.uint8]) -> Pair | None:
    """Height and width from an array's shape or a file's first bytes; None where `decode` will say what is wrong."""
    if isinstance(source, np.ndarray):
        return source.shape[0], source.shape[1]
    try:
        return size_of(source)
    except DataError:
        return None
