"""Which parts of an image are scored at which sizes, and how that becomes one answer (arXiv:1409.1556, section 3.2)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, cast, get_args

from verydeep.errors import ConfigError, choices
from verydeep.preprocessing import MOST
from verydeep.run import Run

Kind: TypeAlias = Literal["center", "ten-crop", "dense", "multi-crop", "both"]

KINDS: tuple[Kind, ...] = get_args(Kind)
CROPS: tuple[Kind, ...] = ("ten-crop", "multi-crop", "both")  # that cut windows out of a larger image
MAPS: tuple[Kind, ...] = ("dense", "both")  # that need the dense form


@dataclass(frozen=True, slots=True)
class Protocol:
    """What is done with each image; posteriors are averaged over windows, mirror images and scales."""

    kind: Kind
    scales: tuple[int, ...]  # Q: the smallest side of the rescaled image in pixels; (): the image's own size
    flip: bool  # the mirror image counts as much as the image

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError(
                f"there is no protocol {self.kind!r}", code="PROTOCOL-UNKNOWN", hint=choices(str(self.kind), KINDS)
            )
        for scale in self.scales:
            if isinstance(scale, bool) or not isinstance(scale, int) or not 1 <= scale <= MOST:
                raise _scale(f"a test scale is a whole number of pixels from 1 to {MOST:,}, not {scale!r}")
        twice = sorted({scale for scale in self.scales if self.scales.count(scale) > 1})
        if twice:
            raise _scale(f"the test scale {twice[0]} is given twice, and would count twice")


def said(kind: str, *, scales: Sequence[int] | None, flip: bool) -> str:
    """A protocol in words, ``dense, Q = 256, 384, 512, with mirror images``; scales None are not known."""
    if scales is None:
        sizes = "at a scale that was not recorded"
    else:
        sizes = f"Q = {', '.join(map(str, scales))}" if scales else "each image at its own size"
    return f"{kind}, {sizes}, {'with' if flip else 'without'} mirror images"


def protocol_for(
    run: Run, kind: str = "center", *, scales: Sequence[int] | None = None, flip: bool | None = None
) -> Protocol:
    """The protocol of a kind for a run's network.

    Args:
        run: Its preprocessing says the crop, and the scale where none is given.
        kind: One of KINDS.
        scales: Smallest sides Q in pixels; None is the one of the run's preprocessing: S where that was fixed in
            training, the middle of [low; high] where it was jittered.
        flip: Whether mirror images are averaged; None is as in the run's training (digits are not mirrored), yes for
            a model alone, and no for the centre crop.

    Raises:
        ConfigError: code PROTOCOL-UNKNOWN, there is no such kind; EVAL-SCALE, a scale below the crop or out of range,
            or none; EVAL-NO-CROP, windows of a network that reads whole images.
    """
    own = () if run.preprocessing.resize is None else (run.preprocessing.resize,)
    if scales is not None and not len(scales):
        raise _scale("there are no test scales")
    mirrors = kind != "center" and (run.settings is None or run.settings.flip)
    found = Protocol(cast("Kind", kind), own if scales is None else tuple(scales), mirrors if flip is None else flip)
    if run.preprocessing.crop == "none":
        if found.kind in CROPS:
            raise ConfigError(
                f"{run.network.name} reads whole images, so there are no crops for {found.kind}",
                code="EVAL-NO-CROP",
                hint="Take --protocol center or dense.",
            )
        return found
    crop = max(run.preprocessing.size)
    for scale in found.scales:
        if scale < crop:
            raise ConfigError(
                f"the test scale {scale} is below the crop of {crop} pixels that {run.network.name} reads",
                code="EVAL-SCALE",
                hint=f"Give --scales of {crop} or more.",
            )
    return found


def _scale(message: str) -> ConfigError:
    return ConfigError(
        message, code="EVAL-SCALE", hint="Give the smallest sides of the rescaled images, as in --scales 256 384 512."
    )
