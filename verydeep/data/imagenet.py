"""ImageNet (ILSVRC-2012) from folders named by WordNet id, as its tools unpack it; subsets such as Imagenette too.

O. Russakovsky et al.: ImageNet Large Scale Visual Recognition Challenge, arXiv:1409.0575. The validation images are
the test split, as in the paper, because the labels of the real test images are not published.
"""

import json
import re
from pathlib import Path
from typing import Literal

from verydeep.data.decode import shown
from verydeep.data.folder import read_classes, read_test
from verydeep.data.missing import missing
from verydeep.data.split import FileSplit
from verydeep.data.tree import class_folders
from verydeep.errors import DataError

WORDNET_ID = re.compile(r"n\d{8}")
LAYOUTS = (  # (train, val) below the root
    ("train", "val"),
    ("ILSVRC2012_img_train", "ILSVRC2012_img_val"),
    ("ILSVRC/Data/CLS-LOC/train", "ILSVRC/Data/CLS-LOC/val"),
    ("Data/CLS-LOC/train", "Data/CLS-LOC/val"),
)
HINT = "Give the folder that holds train/ and val/ with --data-root DIR; ImageNet itself must be asked for at its site."
SORT_HINT = "Sort the images into one folder per WordNet id, such as val/n01440764/."


def load(*, split: Literal["train", "test"], root: Path, download: bool) -> FileSplit:
    """Training or validation images as RGB; the classes are WordNet ids in their own order, the usual 0 .. 999."""
    train, val = _layout(root)
    wanted = train if split == "train" else val
    strange = [path.name for path in class_folders(wanted) if not WORDNET_ID.fullmatch(path.name)]
    if strange or not class_folders(wanted):
        found = f"a folder {strange[0]!r} that is no WordNet id" if strange else "no class folders"
        raise DataError(f"imagenet: {shown(wanted)} has {found}", code="DATA-LAYOUT", hint=SORT_HINT)
    if split == "train":
        return read_classes(train, root=root, name="imagenet train")
    return read_test(val, train=train, root=root, name="imagenet test")


def _layout(root: Path) -> tuple[Path, Path]:
    """The train and val folders of the first layout that is complete."""
    for train, val in LAYOUTS:
        if (root / train).is_dir() and (root / val).is_dir():
            return root / train, root / val
    searched = [root / train for train, _ in LAYOUTS]
    raise missing("imagenet", file="a folder train/ with val/ beside it", searched=searched, hint=HINT)


def class_titles(root: Path) -> dict[str, str]:
    """What people call each WordNet id, from LOC_synset_mapping.txt or classes.json in `root`; empty without them.

    Titles are for showing: two ImageNet classes are called "crane", so ids stay the names that are matched.
    """
    mapping, listing = root / "LOC_synset_mapping.txt", root / "classes.json"
    try:
        if mapping.is_file():
            lines = mapping.read_text(encoding="utf-8").splitlines()
            return dict(line.split(" ", 1) for line in lines if line.strip())
        if listing.is_file():
            return {entry["wnid"]: entry["name"] for entry in json.loads(listing.read_text(encoding="utf-8"))}
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DataError(f"imagenet: the class titles in {shown(root)} are damaged", code="DATA-CORRUPT") from error
    return {}
