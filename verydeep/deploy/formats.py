"""The formats in which a network leaves. A new one is one file with two functions, and one line here."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, cast

from verydeep import extras
from verydeep.errors import ConfigError, choices

if TYPE_CHECKING:  # the names of the formats are known without a framework
    import numpy as np
    import numpy.typing as npt

    from verydeep.deploy.bundle import Bundle

Float32: TypeAlias = "npt.NDArray[np.float32]"
Runner: TypeAlias = "Callable[[Float32], Float32]"  # images (n, c, h, w) to logits (n, classes[, h', w'])
Input: TypeAlias = Literal["pixels", "rgb", "normalised"]  # RGB or grey of 0..255; RGB or grey; as the network wants
Size: TypeAlias = Literal["fixed", "free"]  # of the images: the network's own, or any


class Writer(Protocol):
    """The module of a format."""

    def write(self, bundle: "Bundle", path: Path, *, size: Size) -> None:
        """Write `bundle` at `path`, which does not exist; other files only beside it, under the same stem."""
        ...

    def runner(self, path: Path) -> Runner:
        """What computes with the file that `write` wrote, as its users do."""
        ...


class Quantiser(Protocol):
    """The module that makes 8-bit integers of a format's floating-point file."""

    def quantise(self, source: Path, *, images: Float32) -> Path:
        """Write `source` in int8 under its name in a new folder beside it, its ranges measured on `images`."""
        ...


@dataclass(frozen=True, slots=True)
class Format:
    """What is known of a format before it is used."""

    title: str
    engine: str  # which computes with it here
    suffix: str  # of the file, or of the first of its files
    module: str  # has `write` and `runner`
    extra: str  # of verydeep.extras: what must be installed
    takes: Input = "pixels"  # how much of the preprocessing is inside
    sizes: tuple[Size, ...] = ("fixed", "free")
    int8: str = ""  # the module that has `quantise`, if there is one
    beside: tuple[str, ...] = ()  # suffixes of its other files
    channels: Literal["first", "last"] = "first"  # of the axes of what it takes
    label: str = ""  # in the name that a file is given, where other formats have its suffix too
    note: str = ""  # what else its user must know of the images


FORMATS: dict[str, Format] = {
    "onnx": Format("ONNX", "onnxruntime", ".onnx", "verydeep.deploy.to_onnx", "onnx", int8="verydeep.deploy.onnx_int8"),
    "openvino": Format(
        "OpenVINO IR",
        "openvino",
        ".xml",
        "verydeep.deploy.to_openvino",
        "openvino",
        int8="verydeep.deploy.openvino_int8",
        beside=(".bin",),
    ),
    "pt2": Format("torch.export", "pytorch", ".pt2", "verydeep.deploy.to_pt2", "pytorch"),
    "keras": Format("Keras", "keras", ".keras", "verydeep.deploy.to_keras", "keras", channels="last"),
    "safetensors": Format(
        "safetensors", "pytorch", ".safetensors", "verydeep.deploy.to_safetensors", "pytorch", takes="normalised"
    ),
    "torchvision": Format(
        "torchvision",
        "torchvision",
        ".safetensors",
        "verydeep.deploy.to_torchvision",
        "pytorch",
        takes="rgb",
        sizes=("fixed",),
        label=".torchvision",
    ),
    "timm": Format(
        "timm",
        "timm",
        ".safetensors",
        "verydeep.deploy.to_timm",
        "timm",
        takes="rgb",
        sizes=("fixed",),
        label=".timm",
    ),
    "executorch": Format(
        "ExecuTorch",
        "executorch",
        ".pte",
        "verydeep.deploy.to_executorch",
        "executorch",
        sizes=("fixed",),
        note="at most 8 at once, contiguous in memory",
    ),
}


def format_of(name: str) -> Format:
    """The format of a name; ConfigError where there is none."""
    if name not in FORMATS:
        raise ConfigError(
            f"there is no format {name!r} to export to", code="EXPORT-FORMAT", hint=choices(name, FORMATS)
        )
    return FORMATS[name]


def writer(format: Format) -> Writer:
    """The module that writes and runs a format; ConfigError where what it needs is not installed."""
    return cast("Writer", extras.load(format.module, extra=format.extra))


def quantiser(format: Format) -> Quantiser:
    """The module that quantises a format; ConfigError where there is none, or what it needs is not installed."""
    if not format.int8:
        able = ", ".join(name for name, other in FORMATS.items() if other.int8)
        raise ConfigError(
            f"{format.title} is not written in int8 here", code="EXPORT-OPTION", hint=f"Choose from {able}."
        )
    return cast("Quantiser", extras.load(format.int8, extra=format.extra))
