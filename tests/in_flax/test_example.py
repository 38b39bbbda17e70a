"""The loop of the book in Flax, on a few real images at a small size: the network learns."""

import runpy
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).parents[2] / "examples" / "04_train_in_flax.py"


def test_a_few_images_of_32_pixels_are_enough_to_be_better_than_chance(shared_data: Path, capsys: Any):
    train = runpy.run_path(str(SCRIPT))["main"]
    few = ["--size", "32", "--epochs", "1", "--images", "512", "--batch", "64"]
    reached = train(["--data-root", str(shared_data), *few])
    assert reached > 0.25  # chance is 0.1
    assert capsys.readouterr().out.startswith("epoch 1: loss ")
