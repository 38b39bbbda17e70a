"""The data sets to which features are transferred, by name or folder."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from verydeep.data import catalog
from verydeep.data.split import Split, with_channels
from verydeep.errors import ConfigError, DataError
from verydeep.transfer import caltech, voc
from verydeep.transfer.labelled import Labelled, from_splits, one_each, sources
from verydeep.transfer.partitions import Shares, random_partitions


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a user may decide about the images."""

    data_root: Path | None = None
    shares: Shares | None = None  # None: the paper's
    background: Literal["keep", "drop"] = "keep"  # Caltech's class of clutter
    seed: int = 0  # of partitions


def load(data: str, *, channels: int, wishes: Wishes) -> Labelled:
    """A data set by its name, or a folder of class folders by its path.

    Of "voc2007" and "voc2012" the training and test images are given, and so they are wherever there is train/ beside
    test/ or val/, and in the data sets of `verydeep list data`. All others are shared out by chance.

    Args:
        data: "voc2007", "voc2012", "caltech101", "caltech256", a name in `verydeep list data`, or a folder.
        channels: That the network takes, 1 or 3; files are converted when they are read.
        wishes: See there.

    Raises:
        ConfigError: no such data set, or partitions are asked of a set that has one of its own.
        DataError: missing, damaged or too few images.
    """
    root = wishes.data_root or Path(os.environ.get(catalog.ROOT_VARIABLE) or catalog.DEFAULT_ROOT)
    if data in caltech.COLLECTIONS:
        return caltech.load(data, root=root, seed=wishes.seed, shares=wishes.shares, background=wishes.background)
    if data in voc.SETS:
        _refuse_shares(data, wishes)
        return voc.load(data, root=root)
    train = with_channels(catalog.load(data, split="train", root=wishes.data_root), channels)
    try:
        test = with_channels(catalog.load(data, split="test", root=wishes.data_root), channels)
    except DataError as error:
        if error.code != "DATA-NO-TEST":
            raise
        return _shared_out(train, wishes)
    _refuse_shares(data, wishes)
    return from_splits(_named(data), train, test)


def _shared_out(images: Split, wishes: Wishes) -> Labelled:
    shares = wishes.shares or Shares()
    partitions = random_partitions(images.labels, shares, classes=images.classes, seed=wishes.seed)
    truth = one_each(images.labels, classes=len(images.classes))
    return Labelled(images.name, images.classes, sources(images), truth, partitions, "mean-class-recall")


def _refuse_shares(data: str, wishes: Wishes) -> None:
    if wishes.shares is not None:
        raise ConfigError(
            f"{data} has training and test images of its own",
            code="OPTIONS-DISAGREE",
            hint="Leave out --partitions, --train-images and --test-images.",
        )


def _named(data: str) -> str:
    return Path(data).name if catalog.is_folder(data) else data
