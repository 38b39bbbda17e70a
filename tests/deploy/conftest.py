"""A small trained run that leaves in several formats, and images to hold the files to it."""

from pathlib import Path

import pytest

from tests.training.tiny import Recorder
from verydeep.data import digits, imagenet
from verydeep.data.split import FileSplit, MemorySplit
from verydeep.run import Run
from verydeep.settings.recipes import resolve
from verydeep.training.session import train


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A network that tells digits apart; tests must not write in its folder."""
    thin = {"arch": "1x8,1x16", "fc": (16,), "dropout": 0.0, "batch_norm": True}
    settings = resolve({"data": "digits", **thin, "epochs": 4, "batch": 64, "workers": 0, "device": "cpu"})
    return train(settings, out=tmp_path_factory.mktemp("digits") / "run", display=Recorder())


@pytest.fixture(scope="session")
def figures() -> MemorySplit:
    """1,437 handwritten digits of 8x8."""
    return digits.load(split="train", root=Path(), download=False)


@pytest.fixture(scope="session")
def photographs(shared_data: Path) -> FileSplit:
    """Some hundred photographs of many sizes."""
    return imagenet.load(split="test", root=shared_data / "imagenette-mini", download=False)
