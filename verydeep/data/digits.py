"""1,797 handwritten digits of 8x8 pixels, part of scikit-learn: the embedded set, for a first run without files.

E. Alpaydin, C. Kaynak: Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998 (its test
part). It has no split of its own; ours holds out 360 images, class by class, with seed 0: 1,437 train, 360 test.
"""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from verydeep.data.split import MemorySplit, hold_out

CLASSES = tuple("0123456789")
TEST_IMAGES = 360
SPLIT_SEED = 0  # part of the data set's definition: another value is another data set
LARGEST = 16  # pixel values in the source are 0 .. 16


def load(*, split: Literal["train", "test"], root: Path, download: bool) -> MemorySplit:
    """The train (1,437) or test (360) images, grey 8x8 scaled to 0 .. 255; `root` and `download` are not needed."""
    from sklearn.datasets import load_digits  # slow to import, and only this set needs it

    rows, labels = load_digits(return_X_y=True)
    images = np.rint(np.asarray(rows) * (255 / LARGEST)).astype(np.uint8).reshape(-1, 1, 8, 8)
    whole = MemorySplit("digits", CLASSES, np.asarray(labels, dtype=np.int64), images)
    train, test = hold_out(whole, fraction=TEST_IMAGES / len(whole), seed=SPLIT_SEED)
    return replace({"train": train, "test": test}[split], name=f"digits {split}")
