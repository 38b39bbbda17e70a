"""The thin VGG of Dive into Deep Learning (d2l.ai, chapter 8.2), trained on Fashion-MNIST by a loop in MXNet's Gluon.

scripts/mxnet-env                                   (once: MXNet 1.9 has an environment of its own)
.venv-mxnet/bin/python examples/05_train_in_mxnet.py --data-root DIR       (minutes for an epoch at 224: try --size 64)
"""

import argparse
import gzip
from pathlib import Path

import mxnet as mx
import numpy as np
from mxnet import autograd, gluon, nd

import verydeep as vd

ARCH = ((1, 16), (1, 32), (2, 64), (2, 128), (2, 128))  # (convolutions, channels) of the five blocks


def read(path: Path) -> np.ndarray:
    """The bytes in a gzipped IDX file: a header of four, whose last is the number of axes, the axes, the numbers."""
    content = gzip.decompress(path.read_bytes())
    axes = content[3]
    shape = np.frombuffer(content, ">u4", count=axes, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(shape)


def resized(images: np.ndarray, size: int) -> nd.NDArray:
    """Grey images (n, 28, 28) of bytes as numbers from 0 to 1, (n, 1, size, size)."""
    maps = nd.array(images[:, None] / 255)
    return nd.contrib.BilinearResize2D(maps, height=size, width=size, align_corners=False)


def accuracy(model: gluon.Block, images: np.ndarray, labels: np.ndarray, *, size: int) -> float:
    """The share of images whose highest logit is that of their class."""
    pieces = zip(np.split(images, 40), np.split(labels, 40), strict=True)  # 250 images each
    right = sum((model(resized(some, size)).argmax(1).asnumpy() == wanted).sum() for some, wanted in pieces)
    return right / len(labels)


def main(arguments: list[str] | None = None) -> float:
    """Train, print a line for each epoch, and return the accuracy on the test images."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data-root", type=Path, required=True, help="folder with fashion-mnist/*.gz, the IDX files")
    parser.add_argument("--size", type=int, default=224, help="pixels; the book takes 224")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--rate", type=float, default=0.01, help="of plain SGD; the book takes 0.05 for MXNet")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--images", type=int, default=60_000, help="how many training images, from the first")
    options = parser.parse_args(arguments)

    folder = options.data_root / "fashion-mnist"
    images, labels = (
        read(folder / f"train-{kind}-ubyte.gz")[: options.images] for kind in ("images-idx3", "labels-idx1")
    )
    test_images, test_labels = (read(folder / f"t10k-{kind}-ubyte.gz") for kind in ("images-idx3", "labels-idx1"))

    net = vd.vgg(ARCH, input=(1, options.size, options.size), classes=10)
    model = vd.build(net, backend="mxnet", seed=0)
    model.hybridize()
    trainer = gluon.Trainer(model.collect_params(), "sgd", {"learning_rate": options.rate})
    cross_entropy = gluon.loss.SoftmaxCrossEntropyLoss()
    mx.random.seed(0)  # of dropout
    stream = np.random.default_rng(0)
    reached = 0.0
    for epoch in range(1, options.epochs + 1):
        total = 0.0
        places = stream.permutation(len(labels))
        for first in range(0, len(labels), options.batch):
            some = places[first : first + options.batch]
            with autograd.record():
                loss = cross_entropy(model(resized(images[some], options.size)), nd.array(labels[some]))
            loss.backward()
            trainer.step(len(some))
            total += loss.sum().asscalar()
        reached = accuracy(model, test_images, test_labels, size=options.size)
        print(f"epoch {epoch}: loss {total / len(labels):.3f}, test accuracy {reached:.3f}", flush=True)
    return reached


if __name__ == "__main__":
    main()
