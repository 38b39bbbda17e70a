"""The mistakes that a network is surest of, with their images: where to look first for what it has not learned."""

import base64
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from verydeep.data.decode import decode, shown
from verydeep.data.split import MemorySplit, Split
from verydeep.errors import DataError
from verydeep.evaluation.metrics import check_finite, log_softmax

THUMBNAIL = 160  # pixels of the longer side: sharp at 80 on a fine screen, and 24 photographs stay below 1.5 MB


@dataclass(frozen=True, slots=True, eq=False)
class Mistake:
    """One image that was taken for something else."""

    image: NDArray[np.uint8]  # [h, w, c] with c = 1 or 3, at most THUMBNAIL pixels a side
    name: str  # the file's path in the data set, or its number
    truth: str
    predicted: str
    confidence: float  # of the wrong class


def worst(split: Split, logits: NDArray[Any], *, count: int = 24) -> list[Mistake]:
    """The wrong predictions of the highest confidence, surest first; of equal ones the first in the split.

    `logits` [n, c] are the network's scores of the split's images, a column for each of the split's classes.
    """
    if logits.shape != (len(split), len(split.classes)):
        found = f"scores {list(logits.shape)} for {len(split)} images and {len(split.classes)} classes"
        raise DataError(f"{split.name}: {found}", code="EVAL-SHAPE")
    check_finite(logits)
    if not len(split):
        return []
    confidences = np.exp(log_softmax(logits.astype(np.float64)))
    predicted = logits.argmax(axis=1)  # of the scores, as in `metrics`: rounding can make confidences equal
    highest = confidences[np.arange(len(split)), predicted]
    wrong = np.flatnonzero(predicted != split.labels)
    surest = wrong[np.argsort(-highest[wrong], kind="stable")][:count]
    return [
        Mistake(
            image=_image(split, int(i)),
            name=_name(split, int(i)),
            truth=split.classes[split.labels[i]],
            predicted=split.classes[predicted[i]],
            confidence=float(highest[i]),
        )
        for i in surest
    ]


def data_uri(image: NDArray[np.uint8]) -> str:
    """The image [h, w, c] as a PNG inside a ``data:`` address, so that a page needs no file beside it."""
    file = io.BytesIO()
    _picture(image).save(file, format="PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def _image(split: Split, i: int) -> NDArray[np.uint8]:
    """The image as the data set has it, before preprocessing, made smaller where it is large."""
    if isinstance(split, MemorySplit):
        image = split.images[i].transpose(1, 2, 0)
    else:
        image = decode(split.paths[i], channels=split.channels)
    if max(image.shape[:2]) <= THUMBNAIL:
        return image.copy()
    picture = _picture(image)
    picture.thumbnail((THUMBNAIL, THUMBNAIL))
    return np.array(picture).reshape(picture.height, picture.width, image.shape[2])


def _name(split: Split, i: int) -> str:
    if isinstance(split, MemorySplit):
        return f"image {i}"
    path = Path(split.paths[i])
    return shown(path.relative_to(split.root) if path.is_relative_to(split.root) else path.name)


def _picture(image: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(image[:, :, 0] if image.shape[2] == 1 else image))
