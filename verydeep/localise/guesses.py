"""Protocol 2 of appendix A: dense boxes of one or several localisers, merged, and rated by the classifier's scores.

For each scale Q the image is rescaled and the dense forms of the classifier and of the localisers pass over it. The
image's classes come from the classifier as in section 3.2: its map of scores is averaged over the cells, then softmax,
then the mean over the scales. For each of the best classes the boxes of all cells, scales and localisers are put
together and merged (`merge`); a box's rating is the class's probability in the cell that it comes from.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from verydeep.data.decode import shown
from verydeep.engine.choice import EngineName
from verydeep.errors import ConfigError, ResourceError
from verydeep.evaluation.metrics import check_finite, log_softmax
from verydeep.localise.annotated import Annotated, suited
from verydeep.localise.box import Boxes
from verydeep.localise.cells import (
    Cells,
    DenseNetwork,
    corners,
    dense_network,
    pixels,
    refuse_other_cells,
    refuse_other_crops,
)
from verydeep.localise.error import GUESSES, Guess
from verydeep.localise.frame import whole_frame
from verydeep.localise.head import COORDINATES
from verydeep.localise.localiser import Localiser
from verydeep.localise.merge import CLOSE, MOST_BOXES, merge
from verydeep.processes import joined
from verydeep.rewrite.dense import dense
from verydeep.run import Run
from verydeep.spec import Pair
from verydeep.transfer.room import refuse_large


class Guesser:
    """A classifier and its localisers, ready for image after image."""

    def __init__(
        self,
        localisers: Sequence[Localiser],
        classifier: Run,
        *,
        scales: Sequence[int] = (),
        close: float = CLOSE,
        device: torch.device | str = "cpu",
        engine: EngineName = "auto",
    ) -> None:
        """Check that all go together, before anything is computed.

        Raises:
            ConfigError: other classes (LOCALISE-CLASSES) or other cells (LOCALISE-CELLS), a scale below the crop, or a
                localiser or a scale that is there twice.
            SpecError: a network has no dense form.
        """
        refuse_unlike(localisers, classifier, scales=scales)
        place = torch.device(device)
        self.rater, *self.finders = (
            dense_network(one.network, one.weights, preprocessing=one.preprocessing, device=place, engine=engine)
            for one in (classifier, *localisers)
        )
        for finder in self.finders:
            refuse_other_cells(finder, self.rater)
        self.scales = scales_of(classifier, scales)
        self.close = close
        self._checked: set[Pair] = set()

    def check(self, sizes: Iterable[Pair]) -> None:
        """Refuse images of these sizes (h, w) for which there is no room, or in which the networks' cells differ.

        Raises:
            ConfigError: code LOCALISE-CELLS, the cells stand for other crops.
            ResourceError: code SCALE-MEMORY, an image needs more memory than there is; LOCALISE-BOXES, it has more
                boxes than can be merged.
        """
        new = set(sizes) - self._checked
        for one in (self.rater, *self.finders):
            refuse_large(new, dense(one.network), scales=self.scales, preprocessing=one.preprocessing)
        for size in sorted(new):
            boxes = 0
            for scale in self.scales:
                for finder in self.finders:
                    refuse_other_crops(self.rater, finder, size=size, smallest=scale)
                rescaled, _ = whole_frame(size, smallest=scale, cover=self.rater.preprocessing.size)
                boxes += len(tuple(corners(self.rater.network, rescaled))) * len(self.finders)
            if boxes > MOST_BOXES:
                raise ResourceError(
                    f"an image of {size[0]}x{size[1]} has {boxes:,} boxes of each class at the scales "
                    f"{', '.join(map(str, self.scales))}, and at most {MOST_BOXES:,} are merged",
                    code="LOCALISE-BOXES",
                    hint="Give smaller or fewer --scales.",
                )
        self._checked |= new

    def guess(self, image: NDArray[np.uint8], *, top: int = GUESSES, labels: Sequence[int] = ()) -> tuple[Guess, ...]:
        """The likeliest `top` classes of a decoded image [h, w, c] with a box each, best first; or `labels` instead."""
        self.check([(image.shape[0], image.shape[1])])
        probabilities: list[NDArray[np.float64]] = []
        ratings: list[NDArray[np.float64]] = []
        boxes: list[NDArray[np.float64]] = []
        for scale in self.scales:
            rated = self.rater.cells(image, smallest=scale)
            check_finite(rated.outputs)
            probabilities.append(np.exp(log_softmax(rated.outputs.astype(np.float64).mean(axis=0))))
            of_cells = np.exp(log_softmax(rated.outputs.astype(np.float64)))
            for finder in self.finders:
                boxes.append(_boxes(finder, image, scale=scale, classes=of_cells.shape[1]))
                ratings.append(of_cells)
        whole = np.mean(probabilities, axis=0)
        chosen = labels or [int(label) for label in np.argsort(-whole, kind="stable")[:top]]
        found, rating = np.concatenate(boxes), np.concatenate(ratings)
        height, width = image.shape[:2]
        inside = np.clip(found, 0.0, np.array((width, height, width, height), dtype=np.float64))
        return tuple(self._of_class(inside[:, label], rating[:, label], label, whole) for label in chosen)

    def _of_class(self, boxes: Boxes, ratings: NDArray[np.float64], label: int, whole: NDArray[np.float64]) -> Guess:
        merged = merge(boxes, ratings, close=self.close)
        best = merged.best()
        return Guess(label, merged.boxes[best], float(merged.ratings[best]), float(whole[label]))


def refuse_unlike(localisers: Sequence[Localiser], classifier: Run, *, scales: Sequence[int]) -> None:
    """ConfigError for localisers of other classes (LOCALISE-CLASSES) and scales below the crop (EVAL-SCALE).

    The same for what would count twice: a localiser (FUSE-TWICE) or a scale (EVAL-SCALE).
    """
    places = [Path(localiser.path).absolute() for localiser in localisers]
    for localiser, place in zip(localisers, places, strict=True):
        if places.count(place) > 1:
            raise ConfigError(
                f"{shown(localiser.path)} is there twice, and would count twice",
                code="FUSE-TWICE",
                hint="Name each localiser once.",
            )
    if len(set(scales)) < len(scales):
        raise ConfigError(
            f"a scale is there twice: {', '.join(map(str, scales))}", code="EVAL-SCALE", hint="Give each scale once."
        )
    for localiser in localisers:
        if localiser.classes != classifier.named():
            raise ConfigError(
                f"the classes of {shown(localiser.path)} are not those of {shown(classifier.path)}, in their order",
                code="LOCALISE-CLASSES",
                hint="Rate boxes with the classifier that the localiser was made from.",
            )
    crop, least = min(classifier.preprocessing.size), min(scales_of(classifier, scales))
    if least < crop:
        raise ConfigError(
            f"scale {least} is below the crop of {crop}",
            code="EVAL-SCALE",
            hint=f"Give scales of at least {crop}.",
        )


def scales_of(classifier: Run, scales: Sequence[int]) -> tuple[int, ...]:
    """The smallest sides Q that are asked for, or else the one of the classifier's preprocessing."""
    preprocessing = classifier.preprocessing
    return tuple(scales) or (preprocessing.resize or min(preprocessing.size),)


def guess_all(
    localisers: Sequence[Localiser],
    classifier: Run,
    data: Annotated,
    *,
    scales: Sequence[int] = (),
    close: float = CLOSE,
    device: str = "auto",
    engine: EngineName = "auto",
) -> tuple[list[tuple[Guess, ...]], Boxes]:
    """Five guesses for each image, and the boxes [n, 4] of the true classes.

    Raises:
        DataError: an image cannot be read, or a class is none of the classifier's.
        ConfigError: networks that do not go together, or a scale below the crop.
        ResourceError: an image is too large, before the first is computed.
    """
    data = suited(data, classes=classifier.named(), channels=classifier.preprocessing.channels)
    guesses: list[tuple[Guess, ...]] = []
    own: list[Boxes] = []
    with joined(device) as processes:
        guesser = Guesser(localisers, classifier, scales=scales, close=close, device=processes.device, engine=engine)
        guesser.check((int(height), int(width)) for height, width in data.sizes)
        for number, label in enumerate(data.split.labels.tolist()):
            image = pixels(data.split, number)
            found = guesser.guess(image)
            guesses.append(found)
            true = next((guess for guess in found if guess.label == label), None)
            own.append((true or guesser.guess(image, labels=(label,))[0]).box)
    return guesses, np.array(own)


def _boxes(finder: DenseNetwork, image: NDArray[np.uint8], *, scale: int, classes: int) -> NDArray[np.float64]:
    """Every cell's box for every class, [cells, classes, 4]: corners in pixels of the image."""
    cells: Cells = finder.cells(image, smallest=scale)
    check_finite(cells.outputs)
    own = cells.outputs.reshape(len(cells.frames), -1, COORDINATES).astype(np.float64)
    placed = np.stack([frame.leave(boxes) for frame, boxes in zip(cells.frames, own, strict=True)])
    return np.broadcast_to(placed, (len(placed), classes, COORDINATES))
