"""Narrow networks of the sizes of the paper's, with weights that nobody trained."""

from typing import Any

import numpy as np

from verydeep.backends.check import sample_weights
from verydeep.deploy.bundle import Bundle
from verydeep.families.vgg import vgg
from verydeep.preprocessing import Preprocessing

Array = np.ndarray[Any, Any]
SHARE = 1e-4  # of the largest logit: what an exported file may be off by


def photographed(size: int) -> Bundle:
    """Column A as thin as a thread, and a preprocessing of which no part can be left out unnoticed."""
    network = vgg(((1, 4), (1, 8), (1, 8), (1, 12), (1, 16)), input=(3, size, size), classes=10, fc=(16,))
    record = Preprocessing(3, (size, size), size, "center", (103.9, 116.8, 123.7), (57.1, 47.4, 68.4), "BGR")
    return Bundle(network, sample_weights(network), record, tuple(f"class {number}" for number in range(10)))


def apart(found: Array, expected: Array) -> float:
    """The largest difference, in units of the largest logit."""
    assert found.shape == expected.shape
    return float(np.abs(found - expected).max() / np.abs(expected).max())
