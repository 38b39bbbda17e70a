"""The loop of the book in Gluon, on a few real images at a small size: the network learns."""

import re
from pathlib import Path

from tests.in_mxnet import environment

SCRIPT = Path(__file__).parents[2] / "examples" / "05_train_in_mxnet.py"


def test_a_few_images_of_32_pixels_are_enough_to_be_better_than_chance(shared_data: Path):
    few = ["--size", "32", "--epochs", "1", "--images", "1024", "--batch", "32"]
    printed = environment.run(SCRIPT, "--data-root", shared_data.resolve(), *few)
    found = re.fullmatch(r"epoch 1: loss \d\.\d{3}, test accuracy (0\.\d{3})\n", printed)
    assert found
    assert float(found[1]) > 0.25  # chance is 0.1
