"""Every data set by name. A new one is one file with a `load` function, and one line in DATASETS."""

import difflib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from verydeep.data import cifar, cifar10_jpeg, digits, folder, imagenet, mnist
from verydeep.data.missing import missing
from verydeep.data.split import Split
from verydeep.errors import ConfigError, DataError
from verydeep.localise import synthetic
from verydeep.run_files import lacking

ROOT_VARIABLE = "VERYDEEP_DATA"
DEFAULT_ROOT = Path("data")


@dataclass(frozen=True, slots=True)
class Dataset:
    """What is known of a data set before it is loaded; `load(split=, root=, download=)` returns a Split."""

    name: str
    title: str
    load: Callable[..., Split]
    classes: int | None  # None: as many as there are folders
    shape: tuple[int, int, int] | None  # (c, h, w) of one image; None: photographs of many sizes
    source: str


DATASETS: dict[str, Dataset] = {
    dataset.name: dataset
    for dataset in (
        Dataset("digits", "Handwritten digits, embedded", digits.load, 10, (1, 8, 8), "scikit-learn (UCI, 1998)"),
        Dataset("mnist", "MNIST", mnist.load_mnist, 10, (1, 28, 28), "LeCun, Cortes, Burges 1998"),
        Dataset("fashion-mnist", "Fashion-MNIST", mnist.load_fashion_mnist, 10, (1, 28, 28), "arXiv:1708.07747"),
        Dataset("cifar10", "CIFAR-10", cifar.load_cifar10, 10, (3, 32, 32), "Krizhevsky 2009"),
        Dataset("cifar10-jpeg", "CIFAR-10 (JPEG copy)", cifar10_jpeg.load, 10, (3, 32, 32), "Krizhevsky 2009; lossy"),
        Dataset("cifar100", "CIFAR-100", cifar.load_cifar100, 100, (3, 32, 32), "Krizhevsky 2009"),
        Dataset("synthetic", "Digits on photographs, embedded", synthetic.load, 10, (3, 80, 80), "scikit-learn"),
        Dataset("folder", "Your images, one folder per class", folder.load, None, None, "your own"),
        Dataset("imagenet", "ImageNet (ILSVRC-2012) and subsets", imagenet.load, None, None, "arXiv:1409.0575"),
    )
}


def load(name: str, *, split: Literal["train", "test"], root: Path | None = None, download: bool = False) -> Split:
    """The train or test split of a data set by its name, or of a folder of images by its path.

    `root` is the folder that holds data sets (for `folder` and `imagenet` the data set's own folder); without it
    the environment variable VERYDEEP_DATA, else data/ in the current folder. Nothing is downloaded unless asked for.
    A set that is not there raises DataError(code="DATA-MISSING"), an unknown name ConfigError.
    """
    if split not in ("train", "test"):
        hint = "Validation images are split from train with hold_out."
        raise ConfigError(f"a split is train or test, not {split!r}", code="CONFIG-VALUE", hint=hint)
    if name in DATASETS:
        place = root or Path(os.environ.get(ROOT_VARIABLE) or DEFAULT_ROOT)
        return DATASETS[name].load(split=split, root=place, download=download)
    if is_folder(name):
        _refuse_run(Path(name))
        return folder.load(split=split, root=Path(name), download=download)
    raise _unknown(name)


def is_folder(name: str) -> bool:
    """Whether `name` is no data set's but the path of a folder."""
    return name not in DATASETS and os.path.isdir(name)  # noqa: PTH112 - Path.is_dir raises for a name too long


def _refuse_run(place: Path) -> None:
    if lacking(place) is None:
        raise ConfigError(
            f"{place} is a run, not a data set", code="DATA-RUN", hint=f"Go on with it: verydeep resume {place}"
        )


def _unknown(name: str) -> ConfigError | DataError:
    """The error for a name that is neither in the catalog nor a folder."""
    if os.sep in name:
        return missing("folder", file="the folder itself", searched=[Path(name)], hint=folder.LAYOUT)
    near = difflib.get_close_matches(name.lower(), DATASETS, n=3, cutoff=0.5)
    meant = f"Did you mean {' or '.join(near)}?" if near else f"Known are {', '.join(DATASETS)}."
    return ConfigError(
        f"there is no data set {name!r}", code="DATA-UNKNOWN", hint=f"{meant} A folder of images is given by its path."
    )
