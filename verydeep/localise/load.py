"""Data with boxes by name: the embedded set, VOC, or ImageNet."""

import os
from pathlib import Path
from typing import Literal

from verydeep.data.catalog import DEFAULT_ROOT, ROOT_VARIABLE
from verydeep.errors import ConfigError, choices
from verydeep.localise.annotated import Annotated
from verydeep.localise.collect import BadBoxes
from verydeep.localise.ilsvrc import load_ilsvrc
from verydeep.localise.synthetic import load_synthetic
from verydeep.localise.voc import load_voc

NAMES = ("synthetic", "voc2007", "voc2012", "imagenet")


def load_annotated(
    name: str, *, split: Literal["train", "test"], root: Path | None = None, bad_boxes: BadBoxes = "refuse"
) -> Annotated:
    """The train or test images of a set with their boxes.

    Args:
        name: One of `NAMES`.
        split: Which.
        root: The folder that holds the set; None is VERYDEEP_DATA, else data/ in the current folder.
        bad_boxes: What to do with boxes that cannot be: see `collect`.

    Raises:
        ConfigError: code BOXES-UNKNOWN, no set with boxes has this name.
        DataError: it is not there, or damaged.
    """
    place = root or Path(os.environ.get(ROOT_VARIABLE) or DEFAULT_ROOT)
    match name:
        case "synthetic":
            return load_synthetic(split=split)
        case "voc2007":
            return load_voc("2007", split=split, root=place, bad_boxes=bad_boxes)
        case "voc2012":
            return load_voc("2012", split=split, root=place, bad_boxes=bad_boxes)
        case "imagenet":
            return load_ilsvrc(split=split, root=place, bad_boxes=bad_boxes)
    raise ConfigError(f"no data set with boxes is called {name!r}", code="BOXES-UNKNOWN", hint=choices(name, NAMES))
