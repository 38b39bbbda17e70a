"""Where PASCAL VOC's files lie and how its classes are called (M. Everingham et al., IJCV 2010)."""

from pathlib import Path
from typing import Literal, TypeAlias

from verydeep.data.missing import missing

Year: TypeAlias = Literal["2007", "2012"]

CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
FOLDERS = {"2007": "VOC2007", "2012": "VOC2012"}
LAYOUT = "Give the folder that holds VOCdevkit/{folder} or {folder}, or that folder, with --data-root DIR."


def home(year: Year, *, root: Path, holding: str) -> Path:
    """The folder of a year, which holds the folder `holding`; a root that is named as another year is not taken.

    Raises:
        DataError: code DATA-MISSING.
    """
    folder = FOLDERS[year]
    others = set(FOLDERS.values()) - {folder}
    searched = [root / "VOCdevkit" / folder, root / folder, *([] if root.absolute().name in others else [root])]
    for place in searched:
        if (place / holding).is_dir():
            return place
    raise missing(f"voc{year}", file=f"the folder {holding}", searched=searched, hint=LAYOUT.format(folder=folder))
