"""How the maps of an image become one descriptor: scales, mirror, mean, length (arXiv:1409.1556, appendix B)."""

from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from verydeep.errors import ConfigError

Combine: TypeAlias = Literal["pooled", "stacked"]
Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Aggregation:
    """What happens to a layer's maps, in this order: mean over places, mirror, scales, length.

    `pool` "none" keeps the maps of one scale as they are, and then there is nothing to mirror, combine or normalise.
    """

    scales: tuple[int, ...]  # Q: smallest sides of the rescaled image, in pixels
    pool: Literal["mean", "none"] = "mean"  # over the places of a map
    flip: bool = True  # the mean with the mirror image's
    combine: Combine = "pooled"  # scales: their mean, or one behind the other, which keeps what each one says
    normalize: Literal["l2", "none"] = "l2"  # the whole descriptor, after everything else, has length 1

    def __post_init__(self) -> None:
        if not self.scales or min(self.scales) < 1:
            raise ConfigError(f"scales are {self.scales}", code="OPTION-VALUE", hint="Give pixels: --scales 256 384.")
        if len(set(self.scales)) != len(self.scales):
            raise ConfigError(f"a scale is given twice: {self.scales}", code="OPTION-VALUE", hint="Give each once.")
        if self.pool == "none" and (len(self.scales) > 1 or self.flip or self.normalize != "none"):
            raise ConfigError(
                "maps that are not pooled have one scale, no mirror and no length",
                code="OPTIONS-DISAGREE",
                hint="Give --pool mean, or one scale with --no-flip --normalize none.",
            )

    def to_json(self) -> dict[str, Any]:
        """Plain values for `json.dumps`."""
        return asdict(self) | {"scales": list(self.scales)}


def spatial_mean(maps: Array) -> npt.NDArray[np.float64]:
    """The mean over the places of maps (n, channels, height, width): (n, channels)."""
    return maps.mean(axis=(2, 3), dtype=np.float64)


def combined(parts: list[npt.NDArray[np.float64]], aggregation: Aggregation) -> npt.NDArray[np.float32]:
    """The descriptors (n, features) of what each scale gave, (n, channels)."""
    joined = np.mean(parts, axis=0) if aggregation.combine == "pooled" else np.concatenate(parts, axis=1)
    return (unit_length(joined) if aggregation.normalize == "l2" else joined).astype(np.float32)


def unit_length(descriptors: Array) -> Array:
    """Each row (n, features) divided by its Euclidean length; a row of zeros, which has no direction, stays."""
    length = np.linalg.norm(descriptors, axis=1, keepdims=True)
    return descriptors / np.where(length == 0, 1, length)
