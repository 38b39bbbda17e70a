"""The JPEG copy of CIFAR-10: 60,000 images in one archive, right labels, lossy pixels.

Accuracies on it are not comparable with published ones: both sides of a race have to run on it.
"""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from verydeep.data.split import MemorySplit

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
TRAIN = 50_000  # images, then those for testing


def load(archive: Path, *, most: int | None = None) -> tuple[MemorySplit, MemorySplit]:
    """The training and the test images, at most `most` of each."""
    with np.load(archive) as found:
        header, data, offsets = found["header"].tobytes(), found["data"].tobytes(), found["offsets"]
        labels = (found["train_labels"], found["test_labels"])

    def split(name: str, *, first: int, answers: np.ndarray) -> MemorySplit:
        answers = answers[:most].astype(np.int64)
        pixels = [
            np.asarray(Image.open(io.BytesIO(header + data[offsets[index] : offsets[index + 1]])).convert("RGB"))
            for index in range(first, first + len(answers))
        ]
        images = np.ascontiguousarray(np.stack(pixels).transpose(0, 3, 1, 2))
        return MemorySplit(f"CIFAR-10 (JPEG copy) {name}", CLASSES, answers, images)

    return split("train", first=0, answers=labels[0]), split("test", first=TRAIN, answers=labels[1])


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
