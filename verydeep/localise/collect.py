"""Annotation files and images become the one record `Annotated`; what does not fit is refused, or skipped if asked."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from verydeep.data.split import FileSplit
from verydeep.errors import DataError, choices
from verydeep.localise.annotated import Annotated, fault
from verydeep.localise.annotation import Annotation, Counting, Marked, read_annotation
from verydeep.localise.image_size import image_size

BadBoxes: TypeAlias = Literal["refuse", "skip"]
SKIP = "Repair the file, or pass over such objects with --bad-boxes skip."


def collect(
    name: str,
    pairs: Iterable[tuple[Path, str]],
    *,
    classes: Mapping[str, int],
    counting: Counting,
    bad_boxes: BadBoxes,
    root: Path,
) -> Annotated:
    """The images of a set with the boxes of their annotation files; an image comes once for each class in it.

    Args:
        name: Of the set, in messages.
        pairs: An annotation file and the path of its image, each.
        classes: The names that the files use for classes, each with its place in the list of classes.
        counting: How the files count pixels.
        bad_boxes: "refuse" an object whose box is inverted or reaches outside the image, or "skip" it; images of which
            nothing is left are then left out.
        root: The set's folder.

    Raises:
        DataError: code BOXES-INVALID, such a box; BOXES-CLASS, a class that is not among the `classes`; BOXES-SIZE,
            the size in the file is not that of the image; ANNOTATION-DAMAGED; IMAGE-UNREADABLE; DATA-EMPTY, nothing
            is left.
    """
    paths: list[str] = []
    labels: list[int] = []
    sizes: list[tuple[int, int]] = []
    boxes: list[np.ndarray] = []
    left_out = 0
    for file, image in pairs:
        annotation = read_annotation(file, counting=counting)
        _check_size(annotation, file=file, image=image)
        kept = [one for one in annotation.objects if not one.difficult]
        sound = [one for one in kept if _is_sound(one, annotation, file=file, bad_boxes=bad_boxes)]
        left_out += len(kept) - len(sound)
        found: dict[int, list[Marked]] = {}
        for one in sound:
            found.setdefault(_label(one, classes, file=file), []).append(one)
        for label, objects in sorted(found.items()):
            paths.append(image)
            labels.append(label)
            sizes.append(annotation.size)
            boxes.append(np.array([one.box for one in objects], dtype=np.float64))
    if not paths:
        raise DataError(f"{name}: no image with a box in {root}", code="DATA-EMPTY", hint="Look into its annotations.")
    split = FileSplit(name, tuple(classes), np.array(labels, dtype=np.int64), tuple(paths), root=str(root.absolute()))
    return Annotated(split, np.array(sizes, dtype=np.int64), tuple(boxes), left_out)


def without_annotation(name: str, lacking: list[str], *, of: int) -> DataError:
    """The error for images that have no annotation file."""
    return DataError(
        f"{name}: {len(lacking):,} of {of:,} images have no annotation, the first is {lacking[0]}",
        code="BOXES-MISSING",
        hint="Unpack the annotations beside the images.",
    )


def _check_size(annotation: Annotation, *, file: Path, image: str) -> None:
    size = image_size(image)
    if size != annotation.size:
        (height, width), (wrong_height, wrong_width) = size, annotation.size
        raise DataError(
            f"{file} is made for an image of {wrong_width}x{wrong_height}, and {image} has {width}x{height}",
            code="BOXES-SIZE",
            hint="Take the images for which the boxes were drawn, unscaled.",
        )


def _is_sound(one: Marked, annotation: Annotation, *, file: Path, bad_boxes: BadBoxes) -> bool:
    why = fault(np.array([one.box]), size=annotation.size)
    if why and bad_boxes == "refuse":
        raise DataError(f"{file}: {why}", code="BOXES-INVALID", hint=SKIP)
    return not why


def _label(one: Marked, classes: Mapping[str, int], *, file: Path) -> int:
    if one.name not in classes:
        raise DataError(
            f"{file}: an object of class {one.name!r}, which is none of the set's {len(classes)}",
            code="BOXES-CLASS",
            hint=choices(one.name, classes) if len(classes) <= 20 else "Compare the annotations with the images.",
        )
    return classes[one.name]
