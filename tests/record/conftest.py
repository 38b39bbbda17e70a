"""A finished run without the training: real digits, a network with fresh weights, invented history."""

import json

import numpy as np
import pytest
from sklearn.datasets import load_digits

from verydeep.data.split import MemorySplit
from verydeep.evaluation.metrics import measure
from verydeep.families.vgg import vgg
from verydeep.preprocessing import Preprocessing
from verydeep.record.environment import environment
from verydeep.run import Run
from verydeep.settings.recipes import recipe
from verydeep.weights.initial import initial


def epochs(count, *, validated=True):
    """Rows as in metrics.jsonl."""
    return tuple(
        {
            "epoch": epoch,
            "step": 20 * epoch,
            "lr": 0.2 * (1 - epoch / (count + 1)),
            "train_loss": 2.3 * 0.8**epoch,
            "train_top1": 1 - 0.9 * 0.8**epoch,
            "val_loss": 2.4 * 0.8**epoch if validated else None,
            "val_top1": 0.98 - 0.9 * 0.8**epoch if validated else None,
        }
        for epoch in range(1, count + 1)
    )


@pytest.fixture(scope="session")
def history():
    return epochs


@pytest.fixture(scope="session")
def digits():
    """The last 397 of the 8x8 digits."""
    bunch = load_digits()
    images = (bunch.images[1400:] * (255 / 16)).astype(np.uint8)[:, None]
    return MemorySplit("digits test", tuple("0123456789"), bunch.target[1400:].astype(np.int64), images)


@pytest.fixture(scope="session")
def logits(digits):
    """Scores that are right for most of the digits."""
    scores = np.random.default_rng(3).normal(size=(len(digits), 10)).astype(np.float32)
    scores[np.arange(len(digits)), digits.labels] += 4
    return scores


@pytest.fixture(scope="session")
def evaluation(digits, logits):
    return measure(logits, digits.labels, classes=digits.classes)


@pytest.fixture
def run(tmp_path, digits):
    network = vgg(((1, 8), (1, 16)), input=(1, 8, 8), classes=10, fc=(), batch_norm=True)
    folder = tmp_path / "run-001"
    folder.mkdir()
    (folder / "environment.json").write_text(json.dumps({"run": "0123abcd", **environment()}))
    return Run(
        path=folder,
        settings=recipe("digits"),
        network=network,
        weights=initial(network),
        preprocessing=Preprocessing(1, (8, 8), None, "center", (77.9,), (95.9,), "grey"),
        classes=digits.classes,
        history=epochs(2),
        result={"train_images": 1293, "seconds": 201.0},
    )
