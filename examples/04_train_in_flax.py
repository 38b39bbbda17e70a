"""The thin VGG of Dive into Deep Learning (d2l.ai, chapter 8.2), trained on Fashion-MNIST by a loop in Flax NNX.

python examples/04_train_in_flax.py --data-root DIR   (an epoch at 224 pixels takes minutes on a CPU: try --size 64)
"""

import argparse
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

import verydeep as vd
from verydeep.data import catalog

ARCH = ((1, 16), (1, 32), (2, 64), (2, 128), (2, 128))  # (convolutions, channels) of the five blocks


def resized(images: jax.Array, size: int) -> jax.Array:
    """Grey images (n, 1, 28, 28) of bytes as numbers from 0 to 1, (n, size, size, 1): Flax has channels last."""
    return jax.image.resize(images.transpose(0, 2, 3, 1) / 255, (len(images), size, size, 1), "bilinear")


@partial(nnx.jit, static_argnames="size")
def step(model: nnx.Module, optimizer: nnx.Optimizer, images: jax.Array, labels: jax.Array, *, size: int) -> jax.Array:
    """Change the model by one step and return the loss before it."""

    def loss_of(model: nnx.Module) -> jax.Array:
        logits = model(resized(images, size))
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

    loss, gradients = nnx.value_and_grad(loss_of)(model)
    optimizer.update(model, gradients)
    return loss


@partial(nnx.jit, static_argnames="size")
def count_right(model: nnx.Module, images: jax.Array, labels: jax.Array, *, size: int) -> jax.Array:
    """How many images have their highest logit at their class."""
    return (model(resized(images, size)).argmax(1) == labels).sum()


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
    images, labels = train.images[: options.images], train.labels[: options.images]

    net = vd.vgg(ARCH, input=(1, options.size, options.size), classes=10)
    model = vd.build(net, backend="flax", seed=0)
    optimizer = nnx.Optimizer(model, optax.sgd(options.rate), wrt=nnx.Param)
    stream = np.random.default_rng(0)
    reached = 0.0
    for epoch in range(1, options.epochs + 1):
        model.train()
        total = 0.0
        places = stream.permutation(len(labels))
        for first in range(0, len(labels), options.batch):
            some = places[first : first + options.batch]
            loss = step(model, optimizer, jnp.asarray(images[some]), jnp.asarray(labels[some]), size=options.size)
            total += float(loss) * len(some)
        model.eval()
        pieces = zip(np.split(test.images, 40), np.split(test.labels, 40), strict=True)  # 250 images each
        right = sum(int(count_right(model, *map(jnp.asarray, piece), size=options.size)) for piece in pieces)
        reached = right / len(test.labels)
        print(f"epoch {epoch}: loss {total / len(labels):.3f}, test accuracy {reached:.3f}", flush=True)
    return reached


if __name__ == "__main__":
    main()
