"""Annotation files and images become the one record `Annotated`; what does not fit is refused, or skipped if asked."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from verydeep.data.decode import shown, upright_size
from verydeep.data.split import FileSplit
from verydeep.errors import DataError, choices
from verydeep.localise.annotated import Annotated, fault
from verydeep.localise.annotation import Annotation, Counting, Marked, read_annotation
from verydeep.spec import Pair

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
    rescale: bool = False,
) -> Annotated:
    """The images of a set with the boxes of their annotation files; an image comes once for each class in it.

    Args:
        name: Of the set, in messages.
        pairs: An annotation file and the path of its image, each.
        classes: The names that the files use for classes, each with its place in the list of classes.
        counting: How the files count pixels.
        bad_boxes: "refuse" an object whose box is inverted or reaches outside the image, whose class is unknown, or
            whose file is of another size than the image, or "skip" it; images of which nothing is left are left out.
        root: The set's folder.
        rescale: Whether a file may be made for the same image of another size; its boxes are then scaled.

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
        size = upright_size(image)
        kept = [one for one in annotation.objects if not one.difficult]
        sound: list[Marked] = []
        for one in kept:
            error = _error(one, annotation, size=size, classes=classes, file=file, image=image, rescale=rescale)
            if error is not None and bad_boxes == "refuse":
                raise error
            if error is None:
                sound.append(_scaled(one, before=annotation.size, after=size))
        left_out += len(kept) - len(sound)
        found: dict[int, list[Marked]] = {}
        for one in sound:
            found.setdefault(classes[one.name], []).append(one)
        for label, objects in sorted(found.items()):
            paths.append(image)
            labels.append(label)
            sizes.append(size)
            boxes.append(np.array([one.box for one in objects], dtype=np.float64))
    if not paths:
        raise DataError(
            f"{name}: no image with a box in {shown(root)}", code="DATA-EMPTY", hint="Look into its annotations."
        )
    split = FileSplit(name, tuple(classes), np.array(labels, dtype=np.int64), tuple(paths), root=str(root.absolute()))
    return Annotated(split, np.array(sizes, dtype=np.int64), tuple(boxes), left_out)


def without_annotation(name: str, lacking: list[str], *, of: int) -> DataError:
    """The error for images that have no annotation file."""
    return DataError(
        f"{name}: {len(lacking):,} of {of:,} images have no annotation, the first is {shown(lacking[0])}",
        code="BOXES-MISSING",
        hint="Unpack the annotations beside the images.",
    )


def _error(
    one: Marked,
    annotation: Annotation,
    *,
    size: Pair,
    classes: Mapping[str, int],
    file: Path,
    image: str,
    rescale: bool,
) -> DataError | None:
    """Why an object of an image of `size` (h, w) cannot be used; None where it can."""
    if size != annotation.size and not (rescale and _alike(annotation.size, size)):
        (height, width), (wrong_height, wrong_width) = size, annotation.size
        return DataError(
            f"{shown(file)} is made for an image of {wrong_width}x{wrong_height}, and {shown(image)} has "
            f"{width}x{height}",
            code="BOXES-SIZE",
            hint="Take the images for which the boxes were drawn, or pass over such with --bad-boxes skip.",
        )
    if why := fault(np.array([one.box]), size=annotation.size):
        return DataError(f"{shown(file)}: {why}", code="BOXES-INVALID", hint=SKIP)
    if one.name not in classes:
        return DataError(
            f"{shown(file)}: an object of class {one.name!r}, which is none of the set's {len(classes)}",
            code="BOXES-CLASS",
            hint=choices(one.name, classes) if len(classes) <= 20 else "Compare the annotations with the images.",
        )
    return None


def _alike(first: Pair, second: Pair) -> bool:
    """Whether two sizes (h, w) are those of one image, scaled and rounded to whole pixels, up or down."""
    (height, width), (other_height, other_width) = first, second
    least = max((height - 1) / other_height, (width - 1) / other_width)
    return least < min((height + 1) / other_height, (width + 1) / other_width)


def _scaled(one: Marked, *, before: Pair, after: Pair) -> Marked:
    """The object in the same image of another size (h, w)."""
    left, top, right, bottom = one.box
    down, along = (after[0], before[0]), (after[1], before[1])
    box = (_times(left, along), _times(top, down), _times(right, along), _times(bottom, down))
    return replace(one, box=box)


def _times(length: float, ratio: Pair) -> float:
    return length * ratio[0] / ratio[1]  # in this order a box that ends at the border does so exactly
