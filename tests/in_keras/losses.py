"""``python -m tests.in_keras.losses``: the losses of the training that `curve` describes, in Keras, as JSON."""

import json

import keras

from tests.twins import curve
from verydeep.backends import keras3


def losses() -> list[float]:
    """The mean cross-entropy of each batch before its step."""
    model = keras3.build(curve.network(), curve.weights())
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.SGD(curve.RATE), loss=loss)
    found: list[float] = []
    for images, labels in curve.batches():
        model.reset_metrics()  # the loss that Keras gives is the mean since then
        found.append(float(model.train_on_batch(images.transpose(0, 2, 3, 1), labels)))
    return found


if __name__ == "__main__":
    print(json.dumps(losses()))
