"""Twenty steps of SGD by Gluon's trainer follow PyTorch's losses."""

import json
from pathlib import Path

import numpy as np

from tests.in_mxnet import environment
from tests.twins import curve


def test_mxnet_follows_the_losses_of_pytorch(tmp_path: Path):
    images, labels = zip(*curve.batches(), strict=True)
    np.savez(tmp_path / "weights.npz", **curve.weights())
    np.savez(tmp_path / "batches.npz", images=images, labels=labels)
    found = json.loads(environment.run("-m", "tests.in_mxnet.losses", tmp_path))
    difference = curve.largest_difference(found, curve.pytorch_losses())
    print(f"largest relative difference: {difference:.1e}")
    assert difference <= curve.TOLERANCE
