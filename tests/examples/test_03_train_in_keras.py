"""Keras's `fit`, as the book has it, on a few real images at a small size: the network learns."""

import re
from pathlib import Path

from tests.in_keras import process

SCRIPT = Path(__file__).parents[2] / "examples" / "03_train_in_keras.py"


def test_a_few_images_of_32_pixels_are_enough_to_be_better_than_chance(shared_data: Path):
    few = ("--size", "32", "--epochs", "1", "--images", "512", "--batch", "64")
    printed = process.run(SCRIPT, "--data-root", shared_data, *few)
    (reached,) = re.findall(r"val_accuracy: ([0-9.]+)", printed)
    assert float(reached) > 0.25  # chance is 0.1
