"""What an export begins with, without a training; and a process that has no verydeep, as those who get the file."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from verydeep.backends.check import sample_weights
from verydeep.deploy.bundle import Bundle
from verydeep.preprocessing import Preprocessing
from verydeep.spec import Network
from verydeep.weights import canonical

DIGITS = tuple("0123456789")
WITHOUT_US = "import json, sys\nsys.modules['verydeep'] = None\nimport numpy as np\nimages = np.load('images.npy')\n"


def untrained(network: Network, *, color: str = "BGR") -> Bundle:
    """The network with weights that nobody trained, and a preprocessing of which no part can be left out unnoticed."""
    channels, height, width = network.input
    numbers = {"mean": (103.9, 116.8, 123.7)[:channels], "std": (57.1, 47.4, 68.4)[:channels]}
    record = Preprocessing(
        channels=channels,
        size=(height, width),
        resize=min(height, width),
        crop="center",
        color="grey" if channels == 1 else color,  # type: ignore[arg-type]
        **numbers,
    )
    return Bundle(network, sample_weights(network), record, DIGITS[: network.classes])


def saved(bundle: Bundle, folder: Path) -> Path:
    """A model's file, as `verydeep export FILE digits` takes it."""
    path = folder / "mine.safetensors"
    canonical.save(
        path,
        network=bundle.network,
        weights=bundle.weights,
        preprocessing=bundle.preprocessing.to_json(),
        classes=bundle.classes,
    )
    return path


def elsewhere(script: str, images: Any, folder: Path, **variables: str) -> tuple[Any, str]:
    """The array `logits` that a script makes of `images` in a process without verydeep, and what it prints."""
    np.save(folder / "images.npy", images)
    done = subprocess.run(
        [sys.executable, "-c", f"{WITHOUT_US}{script}\nnp.save('logits.npy', logits)"],
        cwd=folder,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return np.load(folder / "logits.npy"), done.stdout
