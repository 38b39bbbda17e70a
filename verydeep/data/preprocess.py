"""From a decoded image to the numbers that a network is fed: one record, stored with every model."""

import math
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from verydeep.data.geometry import centre, rescale, rescale_batch, to_nchw
from verydeep.data.measure import color_components, measure
from verydeep.errors import ConfigError, DataError

__all__ = ["Preprocessing", "apply", "color_components", "fit", "fit_batch", "from_json", "measure", "normalise"]


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How an image becomes input: rescale, crop, order the channels, subtract the mean, divide by the deviation.

    The rescale keeps the aspect ratio and makes the smallest side `resize` (None: the image keeps its own size); an
    image that would be smaller than `size` is made just large enough. Crop "center" cuts the central `size`; "none"
    feeds the whole rescaled image (the dense form takes any size). `mean` and `std` are in units of pixels (0..255)
    and in the order in which the network takes its channels; `std` of 1.0 is the paper's "mean subtracted and
    nothing else" (section 2.1).
    """

    channels: int
    size: tuple[int, int]  # (h, w) in pixels
    resize: int | None  # the smallest side in pixels: S in training, Q in testing
    crop: Literal["center", "none"]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    color: Literal["RGB", "BGR", "grey"]
    interpolation: Literal["bilinear"] = "bilinear"  # with antialiasing

    def __post_init__(self) -> None:
        channels = {"grey": 1, "RGB": 3, "BGR": 3}.get(self.color)
        _require(channels is not None, f"color must be RGB, BGR or grey, got {self.color!r}")
        _require(self.channels == channels, f"{self.color} images have {channels} channels, got {self.channels}")
        _require(len(self.size) == 2 and min(self.size) >= 1, f"size must be (height, width), got {self.size}")
        _require(self.resize is None or self.resize >= 1, f"resize must be a number of pixels, got {self.resize}")
        _require(self.crop in ("center", "none"), f"crop must be center or none, got {self.crop!r}")
        _require(self.interpolation == "bilinear", f"interpolation must be bilinear, got {self.interpolation!r}")
        _require(len(self.mean) == channels, f"mean must have {channels} values, got {len(self.mean)}")
        _require(len(self.std) == channels, f"std must have {channels} values, got {len(self.std)}")
        _require(all(math.isfinite(x) for x in self.mean), f"mean must be finite, got {self.mean}")
        _require(all(math.isfinite(x) and x > 0 for x in self.std), f"std must be above 0, got {self.std}")

    def to_json(self) -> dict[str, Any]:
        """Plain lists, numbers and strings, for `json.dumps`."""
        record = asdict(self)
        return record | {name: list(record[name]) for name in ("size", "mean", "std")}


def _require(fact: bool, otherwise: str) -> None:
    if not fact:
        raise ConfigError(f"preprocessing: {otherwise}", code="PREPROCESS-INVALID")


def from_json(value: Any) -> Preprocessing:
    """The record that `to_json` wrote; a missing, unknown or wrong entry raises ConfigError."""
    _require(isinstance(value, dict), f"a record is needed, got {type(value).__name__}")
    expected = {field.name for field in fields(Preprocessing)}
    difference = sorted(expected ^ set(value))
    _require(not difference, f"missing or unknown keys: {', '.join(map(str, difference))}")
    _require(_is_whole(value["channels"]), f"channels must be a whole number, got {value['channels']!r}")
    resize = value["resize"]
    _require(resize is None or _is_whole(resize), f"resize must be a whole number or null, got {resize!r}")
    size = value["size"]
    _require(isinstance(size, list) and all(map(_is_whole, size)), f"size must be two whole numbers, got {size!r}")
    for name in ("mean", "std"):
        numbers = isinstance(value[name], list) and all(_is_whole(x) or isinstance(x, float) for x in value[name])
        _require(numbers, f"{name} must be a list of numbers, got {value[name]!r}")
    for name in ("crop", "color", "interpolation"):
        _require(isinstance(value[name], str), f"{name} must be a word, got {value[name]!r}")
    numbers = {name: tuple(float(x) for x in value[name]) for name in ("mean", "std")}
    return Preprocessing(**(value | numbers | {"size": tuple(size)}))


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def fit(image: NDArray[np.uint8], preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """A decoded image [h, w, c] rescaled and, unless the whole is wanted, cropped: uint8 [h, w, c]."""
    image = rescale(image, smallest=preprocessing.resize, cover=preprocessing.size)
    return image if preprocessing.crop == "none" else centre(image, size=preprocessing.size)


def fit_batch(images: NDArray[np.uint8], preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """`fit` for images [n, c, h, w] of one size; the same pixels as one by one."""
    if not len(images):
        return np.empty((0, images.shape[1], *preprocessing.size), dtype=np.uint8)
    images = rescale_batch(images, smallest=preprocessing.resize, cover=preprocessing.size)
    if preprocessing.crop == "none":
        return images
    return centre(images.transpose(2, 3, 0, 1), size=preprocessing.size).transpose(2, 3, 0, 1)


def normalise(
    images: NDArray[np.uint8], preprocessing: Preprocessing, *, shift: NDArray[np.float64] | None = None
) -> Tensor:
    """Images [n, c, h, w] (grey or RGB) as the float32 [n, c, h, w] that the network takes.

    `shift` [n, c], in units of pixels and in RGB order, is added to the pixels of each image first.
    """
    mean = np.broadcast_to(np.array(preprocessing.mean), (len(images), preprocessing.channels))
    if preprocessing.color == "BGR":
        images = images[:, ::-1]
        shift = None if shift is None else shift[:, ::-1]
    offset = mean if shift is None else mean - shift
    values = torch.from_numpy(images.astype(np.float32, order="C"))
    values.sub_(torch.from_numpy(offset.astype(np.float32))[:, :, None, None])
    if any(deviation != 1.0 for deviation in preprocessing.std):
        values.div_(torch.tensor(preprocessing.std, dtype=torch.float32)[None, :, None, None])
    return values


def apply(image: NDArray[np.uint8], preprocessing: Preprocessing) -> Tensor:
    """One decoded image [h, w, c] as the float32 [c, h, w] that the network takes."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != preprocessing.channels:
        found = f"{image.dtype} {list(image.shape)}"
        raise DataError(f"an image must be uint8 [h, w, {preprocessing.channels}], found {found}", code="DATA-INVALID")
    return normalise(to_nchw([fit(image, preprocessing)]), preprocessing)[0]
