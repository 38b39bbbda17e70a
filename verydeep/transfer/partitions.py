"""Training and test images drawn by chance, as many of each class, several times (arXiv:1409.1556, appendix B)."""

from dataclasses import dataclass, replace

import numpy as np

from verydeep.errors import ConfigError, DataError
from verydeep.transfer.labelled import Indices, Partition


@dataclass(frozen=True, slots=True)
class Shares:
    """How many partitions, and how many images of each class in one."""

    partitions: int = 3
    train: int = 30  # of Caltech-101; 60 of Caltech-256
    test: int | None = 50  # the most; None: all that are left, as on Caltech-256

    def __post_init__(self) -> None:
        options = {"--partitions": self.partitions, "--train-images": self.train, "--test-images": self.test}
        for option, value in options.items():
            if value is not None and value < 1:
                raise ConfigError(f"{option} is {value}", code="OPTION-VALUE", hint="Give 1 or more.")


def shares_of(usual: Shares | None, *, partitions: int | None, train: int | None, test: int | None) -> Shares | None:
    """The usual shares with what was asked for instead; None where nothing was."""
    asked = {"partitions": partitions, "train": train, "test": test}
    given = {name: value for name, value in asked.items() if value is not None}
    return replace(usual or Shares(), **given) if given else None


def random_partitions(labels: Indices, shares: Shares, *, classes: tuple[str, ...], seed: int) -> tuple[Partition, ...]:
    """Partitions of images with these labels (n,); each is a function of the seed and its number alone.

    Raises:
        DataError: code DATA-TOO-FEW; a class has no image left for the test.
    """
    counts = np.bincount(labels, minlength=len(classes))
    least = int(counts.argmin())
    if counts[least] <= shares.train:
        raise DataError(
            f"class {classes[least]!r} has {counts[least]} images, and {shares.train} of each class are for training",
            code="DATA-TOO-FEW",
            hint="Give a smaller --train-images, or add images.",
        )
    streams = [np.random.default_rng([seed, number]) for number in range(shares.partitions)]
    return tuple(_partition(labels, shares, order=stream.permutation(len(labels))) for stream in streams)


def _partition(labels: Indices, shares: Shares, *, order: Indices) -> Partition:
    of_class = [order[labels[order] == label] for label in np.unique(labels)]
    last = None if shares.test is None else shares.train + shares.test
    return Partition(
        np.sort(np.concatenate([found[: shares.train] for found in of_class])),
        np.sort(np.concatenate([found[shares.train : last] for found in of_class])),
    )
