"""A scale so small that a whole reproduction takes seconds: a few channels, an epoch, the embedded digits."""

from dataclasses import replace
from pathlib import Path

from verydeep.reproduce.declared import JITTERED
from verydeep.reproduce.request import Request
from verydeep.reproduce.scales import Scale
from verydeep.settings.config import Config

ONE = Config(
    recipe="tiny",
    net="A",
    blocks=2,
    width=1 / 16,
    fc=(8,),
    init="glorot",
    size=7,
    scale=(8, 8),
    flip=False,
    epochs=1,
    batch=256,
    lr=0.05,
    workers=0,
    device="cpu",
)

TINY = Scale(
    name="tiny",
    divisor=32,
    data="digits",
    settings={"256": ONE, "384": ONE.updated(scale=(12, 12)), JITTERED: ONE.updated(scale=(8, 16))},
    train_images=1_437,
    test_images=60,
    crop_images=20,
    known_test_images=360,
    transfer=("digits-in-files",),
)


def tiny(out: Path, *, seeds: int = 2, jobs: int = 1, **changes: object) -> Request:
    """A request of this scale."""
    return Request(replace(TINY, **changes), seeds, out, device="cpu", jobs=jobs)  # type: ignore[arg-type]
