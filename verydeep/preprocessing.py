"""How an image becomes a network's input: one record, stored with every model and with weights from anywhere."""

import math
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from verydeep.errors import ConfigError

MOST = 16_384  # pixels of a side: beyond is no photograph, but a way to fill the memory


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
        _require(max(self.size) <= MOST, f"size must be at most {MOST} pixels, got {self.size}")
        _require(self.resize is None or self.resize >= 1, f"resize must be a number of pixels, got {self.resize}")
        _require(self.resize is None or self.resize <= MOST, f"resize must be at most {MOST}, got {self.resize}")
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
