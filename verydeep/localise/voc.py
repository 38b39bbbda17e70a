"""PASCAL VOC 2007 and 2012 with boxes: Annotations/*.xml, JPEGImages/*.jpg and the lists of ImageSets/Main.

M. Everingham et al.: The PASCAL Visual Object Classes Challenge: A Retrospective, IJCV 2015. Objects marked as
difficult do not count, as in the challenge. Train is trainval, and test is test; of 2012, whose test boxes are not
published, they are train and val.
"""

from pathlib import Path
from typing import Literal

from verydeep.data import voc_devkit
from verydeep.data.decode import shown
from verydeep.data.voc_devkit import CLASSES, Year
from verydeep.errors import DataError
from verydeep.localise.annotated import Annotated
from verydeep.localise.collect import BadBoxes, collect, without_annotation

LISTS = {("2007", "train"): "trainval", ("2007", "test"): "test", ("2012", "train"): "train", ("2012", "test"): "val"}


def load_voc(year: Year, *, split: Literal["train", "test"], root: Path, bad_boxes: BadBoxes = "refuse") -> Annotated:
    """The images of a year with their boxes.

    Raises:
        DataError: the set is not there, an image or an annotation is missing (BOXES-MISSING) or cannot be used.
    """
    home = voc_devkit.home(year, root=root, holding="Annotations")
    name, listing = f"voc{year} {split}", home / "ImageSets" / "Main" / f"{LISTS[year, split]}.txt"
    identifiers = _identifiers(listing)
    pairs = [
        (home / "Annotations" / f"{one}.xml", str((home / "JPEGImages" / f"{one}.jpg").absolute()))
        for one in identifiers
    ]
    lacking = [image for file, image in pairs if not file.is_file()]
    if lacking:
        raise without_annotation(name, lacking, of=len(pairs))
    classes = {one: label for label, one in enumerate(CLASSES)}
    return collect(name, pairs, classes=classes, counting="from-1", bad_boxes=bad_boxes, root=home)


def _identifiers(listing: Path) -> list[str]:
    """The names of the images in a list."""
    try:
        lines = listing.read_text(encoding="ascii").splitlines()
    except (OSError, ValueError) as error:
        raise DataError(
            f"the list {shown(listing)} cannot be read: {error}", code="DATA-CORRUPT", hint="Unpack the data set again."
        ) from None
    names = [line.strip() for line in lines if line.strip()]
    strange = [name for name in names if not name.replace("_", "").isalnum()]
    if strange:
        raise DataError(
            f"the list {shown(listing)} names {strange[0][:40]!r}, which is no image of VOC",
            code="DATA-CORRUPT",
            hint="Unpack the data set again.",
        )
    return names
