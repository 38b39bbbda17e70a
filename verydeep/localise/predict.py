"""Classes and boxes for image files; a bad file spoils no other."""

import csv
import io
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from verydeep.data.decode import decode, shown, upright_size
from verydeep.engine.choice import EngineName
from verydeep.errors import ConfigError, DataError
from verydeep.evaluation.predict import files_of
from verydeep.localise.error import Guess
from verydeep.localise.guesses import Guesser
from verydeep.localise.localiser import Localiser
from verydeep.report import grid
from verydeep.run import Run
from verydeep.spec import Pair


@dataclass(frozen=True, slots=True)
class Located:
    """The guesses for one file, best first; none, and the reason in `error`, where it could not be read."""

    path: str
    guesses: tuple[Guess, ...]
    error: str | None = None


def locate(
    localisers: Sequence[Localiser],
    classifier: Run,
    sources: Sequence[str | Path],
    *,
    scales: Sequence[int] = (),
    top: int = 1,
    device: torch.device | str = "cpu",
    engine: EngineName = "auto",
) -> list[Located]:
    """The `top` likeliest classes with a box each (protocol 2), for each image file that `sources` name.

    Sources are files, folders and patterns, as `verydeep predict` takes them.

    Raises:
        ConfigError: `top` is below 1, or networks that do not go together.
        DataError: no source is given, or one names no image. A file that cannot be read raises nothing.
        ResourceError: an image is too large for a scale, before the first is computed.
    """
    if top < 1:
        raise ConfigError(f"top must be 1 or more, got {top}", code="OPTION-VALUE")
    if not sources:
        raise DataError("no images are given", code="SOURCE-NONE", hint="Name files, folders or patterns as '*.png'.")
    paths = list(dict.fromkeys(path for source in sources for path in files_of(str(source))))
    channels = classifier.preprocessing.channels
    found: list[Located] = []
    guesser = Guesser(localisers, classifier, scales=scales, device=device, engine=engine)
    guesser.check(_sizes(paths))
    for path in paths:
        try:
            image = decode(path, channels=channels)
        except DataError as error:
            found.append(Located(path, (), error.message))
        else:
            found.append(Located(path, guesser.guess(image, top=top)))
    return found


def _sizes(paths: Sequence[str]) -> Iterator[Pair]:
    """(height, width) of the files that can be read."""
    for path in paths:
        with suppress(DataError):
            yield upright_size(path)


def to_text(found: Sequence[Located], *, classes: Sequence[str]) -> str:
    """A line for each guess; boxes are corners in pixels."""
    rows = [
        [shown(one.path), shown(classes[guess.label]), f"{guess.confidence:.1%}", *(f"{x:.0f}" for x in guess.box)]
        for one in found
        for guess in one.guesses
    ]
    rows += [[shown(one.path), "unreadable", "", "", "", "", ""] for one in found if one.error is not None]
    header = ("image", "class", "confidence", "left", "top", "right", "bottom")
    table = grid.plain(header, rows, align=("left", "left", "right", "right", "right", "right", "right"))
    errors = [f"error: {one.error}" for one in found if one.error is not None]
    return "\n".join([table, *([""] if errors else []), *errors])


def to_json(found: Sequence[Located], *, classes: Sequence[str]) -> dict[str, Any]:
    """For each image `path`, `error` or null, and `objects`: class, confidence, box [left, top, right, bottom]."""
    return {
        "predictions": [
            {
                "path": one.path,
                "error": one.error,
                "objects": [
                    {"class": classes[guess.label], "confidence": guess.confidence, "box": guess.box.tolist()}
                    for guess in one.guesses
                ],
            }
            for one in found
        ]
    }


def to_csv(found: Sequence[Located], *, classes: Sequence[str]) -> str:
    """Columns path, rank, class, confidence, left, top, right, bottom, error: a line for each guess."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("path", "rank", "class", "confidence", "left", "top", "right", "bottom", "error"))
    for one in found:
        path = one.path.encode(errors="backslashreplace").decode()
        if one.error is not None:
            writer.writerow((path, *[""] * 7, one.error))
        for rank, guess in enumerate(one.guesses, start=1):
            writer.writerow((path, rank, classes[guess.label], guess.confidence, *guess.box.tolist(), ""))
    return text.getvalue()
