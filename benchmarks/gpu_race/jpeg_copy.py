"""The JPEG copy of CIFAR-10: 60,000 images in one archive, right labels, lossy pixels.

Accuracies on it are not comparable with published ones: both sides of a race have to run on it.
"""

from pathlib import Path

import numpy as np

from verydeep.data.cifar10_jpeg import CLASSES, read
from verydeep.data.split import MemorySplit


def load(archive: Path, *, most: int | None = None) -> tuple[MemorySplit, MemorySplit]:
    """The training and the test images, at most `most` of each."""
    return read(archive, split="train", most=most), read(archive, split="test", most=most)


def noise(images: int) -> tuple[MemorySplit, MemorySplit]:
    """Pictures of nothing in the same shape, for a rehearsal where the archive is not at hand."""
    stream = np.random.default_rng(0)
    train, test = (
        MemorySplit(
            f"noise {name}",
            CLASSES,
            np.arange(images) % len(CLASSES),
            stream.integers(0, 256, (images, 3, 32, 32), dtype=np.uint8),
        )
        for name in ("train", "test")
    )
    return train, test
