"""The thin VGG of Dive into Deep Learning (d2l.ai, chapter 8.2), trained on Fashion-MNIST by Keras's own `fit`.

python examples/03_train_in_keras.py --data-root DIR   (an epoch at 224 pixels takes minutes on a CPU: try --size 64)
"""

import argparse
from pathlib import Path

# TensorFlow before PyTorch's compiler, which torchvision loads, would end the process: so that comes first.
import verydeep.backends.before_tensorflow  # isort: skip
import keras

import verydeep as vd
from verydeep.data import catalog

ARCH = ((1, 16), (1, 32), (2, 64), (2, 128), (2, 128))  # (convolutions, channels) of the five blocks


def main(arguments: list[str] | None = None) -> float:
    """Train, print a line for each epoch, and return the accuracy on the test images."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data-root", type=Path, help="folder of Fashion-MNIST's files")
    parser.add_argument("--size", type=int, default=224, help="pixels; the book takes 224")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--rate", type=float, default=0.01, help="of plain SGD")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--images", type=int, default=60_000, help="how many training images, from the first")
    options = parser.parse_args(arguments)

    train = catalog.load("fashion-mnist", split="train", root=options.data_root)
    test = catalog.load("fashion-mnist", split="test", root=options.data_root)
    images, test_images = (split.images.transpose(0, 2, 3, 1) for split in (train, test))  # Keras has channels last

    net = vd.vgg(ARCH, input=(1, options.size, options.size), classes=10)
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),  # bytes
            keras.layers.Rescaling(1 / 255),
            keras.layers.Resizing(options.size, options.size),
            vd.build(net, backend="keras", seed=0),
        ]
    )
    keras.utils.set_random_seed(0)  # of the order of the images and of dropout
    model.compile(
        optimizer=keras.optimizers.SGD(options.rate),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    history = model.fit(
        images[: options.images],
        train.labels[: options.images],
        batch_size=options.batch,
        epochs=options.epochs,
        validation_data=(test_images, test.labels),
        verbose=2,
    )
    return history.history["val_accuracy"][-1]


if __name__ == "__main__":
    main()
