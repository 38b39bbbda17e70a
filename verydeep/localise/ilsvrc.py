"""ImageNet's boxes (ILSVRC-2012 localisation) beside its images, as the challenge's archives unpack them.

O. Russakovsky et al.: ImageNet Large Scale Visual Recognition Challenge, arXiv:1409.0575. About 540,000 of the training
images have boxes, and only these are taken; every validation image has some. A file may be made for its image at
another size: ImageNet's own tools scale a box by the size that stands beside it.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from verydeep.data import imagenet
from verydeep.data.missing import missing
from verydeep.data.split import FileSplit
from verydeep.localise.annotated import Annotated
from verydeep.localise.collect import BadBoxes, collect, without_annotation

PLACES = {  # below the root; the archives of the training boxes were issued as v2, those of validation as v3
    "train": (
        "ILSVRC2012_bbox_train",
        "ILSVRC2012_bbox_train_v2",
        "bbox_train",
        "ILSVRC/Annotations/CLS-LOC/train",
        "Annotations/CLS-LOC/train",
    ),
    "test": (
        "ILSVRC2012_bbox_val",
        "ILSVRC2012_bbox_val_v3",
        "bbox_val",
        "ILSVRC/Annotations/CLS-LOC/val",
        "Annotations/CLS-LOC/val",
    ),
}
HINT = "Unpack the archive of boxes there, or give the folder that holds images and boxes with --data-root DIR."


def load_ilsvrc(*, split: Literal["train", "test"], root: Path, bad_boxes: BadBoxes = "refuse") -> Annotated:
    """The images that have boxes; the classes are all WordNet ids, as `data.imagenet` has them.

    An image of which the boxes are of another class than its folder's keeps the class that the boxes have.

    Raises:
        DataError: images or boxes are not there, a validation image has none (BOXES-MISSING), or one cannot be used.
    """
    images = imagenet.load(split=split, root=root, download=False)
    places = [root / place for place in PLACES[split]]
    home = next((place for place in places if place.is_dir()), None)
    if home is None:
        raise missing("imagenet", file=f"a folder of {split} boxes", searched=places, hint=HINT)
    files = {path.stem: path for path in _files(home)}
    pairs = [(files[Path(path).stem], path) for path in images.paths if Path(path).stem in files]
    if split == "test" and len(pairs) < len(images):
        raise without_annotation(images.name, _lacking(images, files), of=len(images))
    classes = {one: label for label, one in enumerate(images.classes)}
    return collect(images.name, pairs, classes=classes, counting="edges", bad_boxes=bad_boxes, root=root, rescale=True)


def _files(home: Path) -> Iterator[Path]:
    """Annotation files, in the folder or one or two folders below: val/*.xml, n01440764/*.xml."""
    for pattern in ("*.xml", "*/*.xml", "*/*/*.xml"):
        yield from sorted(home.glob(pattern))


def _lacking(images: FileSplit, files: dict[str, Path]) -> list[str]:
    return [path for path in images.paths if Path(path).stem not in files]
