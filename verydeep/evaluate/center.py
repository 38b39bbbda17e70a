"""The accuracy of a run on a data set, from one centre crop of each image."""

from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from verydeep.data import catalog
from verydeep.data.check import usable
from verydeep.data.split import Split, map_classes, with_channels
from verydeep.evaluate.metrics import Evaluation, measure
from verydeep.evaluate.scores import scores
from verydeep.record.folder import Run, open_run
from verydeep.train.processes import joined


def evaluate(
    run: Run | str | Path,
    data: str | None = None,
    *,
    split: Literal["test", "train"] = "test",
    data_root: Path | None = None,
    download: bool = False,
    device: str = "auto",
    batch: int = 256,
) -> Evaluation:
    """How often the run's network names the class of an image.

    Args:
        run: A run or its folder.
        data: A data set's name or a folder; None is the one that the network was trained on. Classes are matched by
            name, whatever their order or number there.
        split: "test", or "train" for all training images.
        data_root: Folder of the data set's files.
        download: Fetch the files if they are missing.
        device: "auto", "cpu", "cuda" or "cuda:N".
        batch: Images computed at once.

    Raises:
        DataError: images missing or unreadable, or of a class that the network does not know.
    """
    opened = run if isinstance(run, Run) else open_run(run)
    images = unseen(opened, data, split=split, data_root=data_root, download=download)
    return measure(logits(opened, images, device=device, batch=batch), images.labels, classes=images.classes)


def unseen(
    run: Run,
    data: str | None = None,
    *,
    split: Literal["test", "train"] = "test",
    data_root: Path | None = None,
    download: bool = False,
) -> Split:
    """The images of a data set, with labels that are indices into the run's classes; see `evaluate`."""
    root = data_root or run.config.data_root
    found = catalog.load(data or run.config.data, split=split, root=root, download=download)
    found, _ = usable(found, bad_images="refuse")
    return map_classes(with_channels(found, run.preprocessing.channels), run.classes)


def logits(run: Run, images: Split, *, device: str = "auto", batch: int = 256) -> npt.NDArray[np.float32]:
    """The network's logits (n, classes) for a split."""
    with joined(device) as processes:
        model = run.model().to(processes.device)
        return scores(
            model,
            images,
            preprocessing=run.preprocessing,
            processes=processes,
            batch=batch,
            workers=run.config.workers,
        )
