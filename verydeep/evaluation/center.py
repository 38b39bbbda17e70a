"""The accuracy of a run on a data set, from one centre crop of each image."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from verydeep.data import catalog
from verydeep.data.check import usable
from verydeep.data.folder import TEST_FOLDERS
from verydeep.data.split import Split, hold_out, map_classes, with_channels
from verydeep.engine.choose import EngineName, choose, ready
from verydeep.errors import ConfigError, DataError
from verydeep.evaluation.metrics import Evaluation, measure
from verydeep.evaluation.scores import scores_of
from verydeep.processes import joined
from verydeep.run import Run, open_run
from verydeep.settings.config import Config

SplitName: TypeAlias = Literal["test", "validation", "train"]


@dataclass(frozen=True, slots=True, eq=False)
class Logits:
    """A network's scores (n, classes), and the engine that computed them."""

    array: npt.NDArray[np.float32]
    engine: str


def evaluate(
    run: Run | str | Path,
    data: str | Path | None = None,
    *,
    split: SplitName = "test",
    data_root: Path | None = None,
    download: bool = False,
    device: str = "auto",
    batch: int = 256,
    engine: EngineName = "auto",
) -> Evaluation:
    """How often the run's network names the class of an image.

    Args:
        run: A run, its folder, or a model's file.
        data: A data set's name or a folder; None is the one that the network was trained on. Classes are matched by
            name, whatever their order or number there. Of a new folder of class folders alone all images are taken.
        split: "test"; "validation", the images held out from training by the run's share and seed; or "train", all
            training images.
        data_root: Folder of the data set's files.
        download: Fetch the files if they are missing.
        device: "auto", "cpu", "cuda" or "cuda:N".
        batch: Images computed at once.
        engine: That computes; "auto" is our kernels where they are right and fast, else PyTorch. The evaluation says
            which it was.

    Raises:
        ConfigError: no finished run there, no such data set, device or engine, a model alone and no `data`, or `batch`
            is below 1.
        DataError: images missing or unreadable, or of a class that the network does not know.
        WeightsError: the run's model is damaged, or has no class names.
        NumericalError: the network's scores are not finite.
    """
    opened = run if isinstance(run, Run) else open_run(run)
    images = labelled(opened, data, split=split, data_root=data_root, download=download)
    found = logits(opened, images, device=device, batch=batch, engine=engine)
    return replace(measure(found.array, images.labels, classes=images.classes), engine=found.engine)


def labelled(
    run: Run,
    data: str | Path | None = None,
    *,
    split: SplitName = "test",
    data_root: Path | None = None,
    download: bool = False,
) -> Split:
    """The images of a data set, with labels that are indices into the run's classes; see `evaluate`."""
    # A model alone was trained elsewhere: only what its training has decided cannot be asked of it.
    config = run.config if data is None or split == "validation" else run.settings or Config()
    name = config.data if data is None else str(data)
    source = "test" if split == "test" and not _is_all_new(name, config) else "train"
    # The variable comes before the run's own record: the run may have come from another machine.
    root = data_root or (None if os.environ.get(catalog.ROOT_VARIABLE) else config.data_root)
    try:
        found = catalog.load(name, split=source, root=root, download=download)
    except DataError as error:
        if error.code == "DATA-NO-TEST":
            error.hint = "Add one of them, or evaluate on the images held out from training: --split validation."
        raise
    found, _ = usable(found, bad_images=config.bad_images if split != "test" else "refuse")
    if split == "validation":
        _, found = hold_out(found, fraction=config.val, seed=config.seed)
    return map_classes(with_channels(found, run.preprocessing.channels), run.named())


def unseen(run: Run, *, data_root: Path | None = None) -> tuple[Split, Literal["test", "validation"]]:
    """The images that say how good a run is: the test images, or those held out where its data set has none."""
    try:
        return labelled(run, data_root=data_root), "test"
    except DataError as error:
        if error.code != "DATA-NO-TEST" or not run.config.val:
            raise
        return labelled(run, split="validation", data_root=data_root), "validation"


def logits(run: Run, images: Split, *, device: str = "auto", batch: int = 256, engine: EngineName = "auto") -> Logits:
    """The network's logits for a split.

    Raises:
        ConfigError: no such device or engine here, or `batch` is below 1.
        DataError: the split has no images, or one of them cannot be read.
    """
    if batch < 1:
        raise ConfigError(f"batch must be 1 or more, got {batch}", code="OPTION-VALUE", hint="Give --batch 256.")
    with joined(device) as processes:
        choice, settings = choose(engine, device=processes.device), run.settings or Config()
        array = scores_of(
            ready(choice, run.network, run.weights, device=processes.device, layout=settings.layout),
            images,
            classes=run.network.classes,
            preprocessing=run.preprocessing,
            processes=processes,
            batch=batch,
            workers=settings.workers,
        )
    return Logits(array, choice.name)


def _is_all_new(data: str, config: Config) -> bool:
    """Whether `data` is a folder of class folders alone that the run was not trained on."""
    folder = Path(data)
    if not catalog.is_folder(data) or folder.resolve() == Path(config.data).resolve():
        return False
    return not any((folder / part).is_dir() for part in ("train", *TEST_FOLDERS))
