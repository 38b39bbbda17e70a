"""What a trained network says of image files: of one, of a folder, of a pattern; a bad file spoils no other."""

import csv
import glob
import io
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from verydeep.data.decode import decode, shown
from verydeep.data.preprocess import apply
from verydeep.data.tree import SUFFIXES, image_files
from verydeep.engine.choice import EngineName
from verydeep.engine.choose import choose, ready
from verydeep.errors import ConfigError, DataError
from verydeep.evaluation.metrics import check_finite, log_softmax
from verydeep.preprocessing import Preprocessing
from verydeep.report.grid import Align, plain
from verydeep.run import Run
from verydeep.settings.config import Config

Compute: TypeAlias = Callable[[Tensor], Tensor]  # images (n, c, h, w) to logits (n, classes)

URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
LONGEST = 200  # characters of a source in a message


@dataclass(frozen=True, slots=True)
class Prediction:
    """The likeliest classes of one file, best first; none, and the reason in `error`, where it could not be read."""

    path: str
    classes: tuple[str, ...]
    confidences: tuple[float, ...]  # softmax over all classes, so they add up to 1 or less
    error: str | None = None


def predict(
    run: Run, sources: Sequence[str | Path], *, batch: int = 32, top: int = 5, engine: EngineName = "auto"
) -> list[Prediction]:
    """One prediction for each image file that `sources` name, in their order, each file once.

    Args:
        run: Gives the network, its preprocessing and its classes.
        sources: Files, whatever their names; folders, of which all images below are taken; and patterns as "*.png"
            or "photos/**/*.jpg", of which image files and folders are taken. Hidden files are passed over.
        batch: Images that are read and computed together, and no more are in memory at once.
        top: Classes of each prediction, fewer if the network has fewer.
        engine: That computes, as `verydeep.engine.choose` takes it.

    Raises:
        ConfigError: a source is a URL or "-", `batch` or `top` is below 1, or there is no such engine here.
        DataError: a source names no image. A file that cannot be read raises nothing: its prediction has an `error`.
        WeightsError: nobody knows the names of the classes.
        NumericalError: the network's scores are not finite.
    """
    for option, value in (("batch", batch), ("top", top)):
        if value < 1:
            raise ConfigError(f"{option} must be 1 or more, got {value}", code="OPTION-VALUE")
    if not sources:
        raise DataError("no images are given", code="SOURCE-NONE", hint="Name files, folders or patterns as '*.png'.")
    waiting = iter(dict.fromkeys(path for source in sources for path in files_of(str(source))))
    classes = run.named()
    compute = ready(choose(engine), run.network, run.weights, layout=(run.settings or Config()).layout)
    predictions: list[Prediction] = []
    while part := list(islice(waiting, batch)):
        predictions.extend(_predict(compute, part, preprocessing=run.preprocessing, classes=classes, top=top))
    return predictions


def to_text(predictions: Sequence[Prediction]) -> str:
    """A table for a terminal, best class first; files that could not be read are marked, and explained below it."""
    columns = max((len(prediction.classes) for prediction in predictions), default=0) or 1
    header = ("image", "class", *[""] * (columns - 1))
    rows = [[shown(prediction.path), *_said(prediction)] for prediction in predictions]
    align: list[Align] = ["left"] * len(header)
    table = plain(header, [row + [""] * (len(header) - len(row)) for row in rows], align=align)
    errors = [f"error: {prediction.error}" for prediction in predictions if prediction.error is not None]
    return "\n".join([table, *([""] if errors else []), *errors]) + "\n"


def to_json(predictions: Sequence[Prediction]) -> dict[str, Any]:
    """The predictions as JSON values: for each image `path`, `error` or null, and `classes` with confidences."""
    return {
        "predictions": [
            {
                "path": prediction.path,
                "error": prediction.error,
                "classes": [
                    {"class": name, "confidence": confidence}
                    for name, confidence in zip(prediction.classes, prediction.confidences, strict=True)
                ],
            }
            for prediction in predictions
        ]
    }


def to_csv(predictions: Sequence[Prediction]) -> str:
    r"""Columns path, rank, class, confidence, error: a line for each class of an image, or one with its error.

    So the columns do not depend on `top`. Bytes of a path that are not UTF-8 are written as ``\udcff``.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("path", "rank", "class", "confidence", "error"))
    for prediction in predictions:
        path = prediction.path.encode(errors="backslashreplace").decode()
        if prediction.error is not None:
            writer.writerow((path, "", "", "", prediction.error))
        pairs = zip(prediction.classes, prediction.confidences, strict=True)
        for rank, (name, confidence) in enumerate(pairs, start=1):
            writer.writerow((path, rank, name, confidence, ""))
    return text.getvalue()


def _said(prediction: Prediction) -> Iterable[str]:
    if prediction.error is not None:
        return ("unreadable",)
    pairs = zip(prediction.classes, prediction.confidences, strict=True)
    return (f"{shown(name)} {confidence:.1%}" for name, confidence in pairs)


def files_of(source: str) -> list[str]:
    """The paths that one source stands for, written as the user wrote it; an existing name is never a pattern."""
    name = shown(source)[:LONGEST] or "an empty name"
    if source == "-":
        raise ConfigError("images are not read from standard input", code="SOURCE-STDIN", hint="Name a file.")
    if URL.match(source):
        raise ConfigError(
            f"{name} is a URL, and images are read from files only",
            code="SOURCE-URL",
            hint="Download it first, then name the file.",
        )
    try:
        if source and Path(source).exists():
            found = _below(source) if Path(source).is_dir() else [source]
        else:
            matches = sorted(glob.glob(source, recursive=True))  # noqa: PTH207 (Path.glob takes no absolute pattern)
            found = [path for match in matches for path in _matched(match)]
    except OSError as error:  # a name that is too long, a folder that must not be entered
        raise DataError(f"cannot read {name}: {error.strerror}", code="SOURCE-NONE") from error
    if not found:
        raise DataError(
            f"{name} matches no image file",
            code="SOURCE-NONE",
            hint=f"Name a file, a folder or a pattern; images in folders end in {' '.join(SUFFIXES)}.",
        )
    return found


def _below(folder: str) -> list[str]:
    """The images in a folder and below, as seen from where the folder's own name is."""
    home = Path(folder).absolute()
    return [str(Path(folder) / Path(path).relative_to(home)) for path in image_files(home)]


def _matched(path: str) -> list[str]:
    """What a pattern's match stands for: a folder for its images, another file for itself if it is an image."""
    if Path(path).is_dir():
        return _below(path)
    return [path] if path.lower().endswith(SUFFIXES) else []


def _predict(
    compute: Compute, paths: list[str], *, preprocessing: Preprocessing, classes: tuple[str, ...], top: int
) -> list[Prediction]:
    read = {path: _read(path, preprocessing) for path in paths}
    images = {path: image for path, image in read.items() if isinstance(image, Tensor)}
    confidences = dict(zip(images, _confidences(compute, images), strict=True))
    return [
        Prediction(path, (), (), error=result)
        if isinstance(result, str)
        else _best(path, confidences[path], classes=classes, top=top)
        for path, result in read.items()
    ]


def _read(path: str, preprocessing: Preprocessing) -> Tensor | str:
    """The network's input [c, h, w], or why there is none."""
    try:
        return apply(decode(path, channels=preprocessing.channels), preprocessing)
    except DataError as error:
        return error.message


def _confidences(compute: Compute, images: dict[str, Tensor]) -> NDArray[np.float64]:
    """Softmax [n, classes] of images [c, h, w] of one size, by path."""
    if not images:
        return np.empty((0, 0))
    with torch.inference_mode():
        logits = compute(torch.stack(list(images.values()))).numpy()
    check_finite(logits, names=[shown(path) for path in images])
    return np.exp(log_softmax(logits.astype(np.float64)))


def _best(path: str, confidences: NDArray[np.float64], *, classes: tuple[str, ...], top: int) -> Prediction:
    """The `top` highest of one image's confidences [classes]; of equal ones the first class, as in `metrics`."""
    order = np.argsort(-confidences, kind="stable")[:top]
    return Prediction(path, tuple(classes[i] for i in order), tuple(float(confidences[i]) for i in order))
