"""Gluon's losses in the training of `tests.twins.curve`, as JSON: `python -m tests.in_mxnet.losses FOLDER`.

The folder has weights.npz and batches.npz, because another NumPy might draw other numbers.
"""

import json
import sys
from pathlib import Path

import mxnet as mx
import numpy as np
from mxnet import autograd, gluon

from tests.twins import curve
from verydeep.backends import mxnet_gluon

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    with np.load(folder / "weights.npz") as weights, np.load(folder / "batches.npz") as batches:
        model = mxnet_gluon.build(curve.network(), dict(weights))
        steps = list(zip(batches["images"], batches["labels"], strict=True))
    model.hybridize()
    trainer = gluon.Trainer(model.collect_params(), "sgd", {"learning_rate": curve.RATE})
    cross_entropy = gluon.loss.SoftmaxCrossEntropyLoss()
    losses = []
    for images, labels in steps:
        with autograd.record():
            loss = cross_entropy(model(mx.nd.array(images)), mx.nd.array(labels))
        loss.backward()
        trainer.step(len(images))  # gradients are of the sum over the batch, and divided here
        losses.append(loss.mean().asscalar().item())
    print(json.dumps(losses))
