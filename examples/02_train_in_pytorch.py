"""The thin VGG of Dive into Deep Learning (d2l.ai, chapter 8.2), trained on Fashion-MNIST by a loop in plain PyTorch.

python examples/02_train_in_pytorch.py --data-root DIR   (an epoch at 224 pixels takes minutes on a CPU: try --size 64)
"""

import argparse
from pathlib import Path

import torch
from torch import Tensor, nn

import verydeep as vd
from verydeep.data import catalog

ARCH = ((1, 16), (1, 32), (2, 64), (2, 128), (2, 128))  # (convolutions, channels) of the five blocks


def resized(images: Tensor, size: int) -> Tensor:
    """Grey images (n, 1, 28, 28) of bytes as numbers from 0 to 1, (n, 1, size, size)."""
    return nn.functional.interpolate(images / 255, (size, size), mode="bilinear", align_corners=False)


def accuracy(model: nn.Module, images: Tensor, labels: Tensor, *, size: int) -> float:
    """The share of images whose highest logit is that of their class."""
    model.eval()
    with torch.inference_mode():
        pieces = zip(images.split(256), labels.split(256), strict=True)
        right = sum((model(resized(some, size)).argmax(1) == wanted).sum().item() for some, wanted in pieces)
    return right / len(labels)


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
    images, labels = torch.from_numpy(train.images[: options.images]), torch.from_numpy(train.labels[: options.images])

    net = vd.vgg(ARCH, input=(1, options.size, options.size), classes=10)
    model = vd.build(net, seed=0)
    optimizer = torch.optim.SGD(model.parameters(), lr=options.rate)
    stream = torch.Generator().manual_seed(0)
    reached = 0.0
    for epoch in range(1, options.epochs + 1):
        model.train()
        total = 0.0
        for places in torch.randperm(len(labels), generator=stream).split(options.batch):
            loss = nn.functional.cross_entropy(model(resized(images[places], options.size)), labels[places])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(places)
        reached = accuracy(model, torch.from_numpy(test.images), torch.from_numpy(test.labels), size=options.size)
        print(f"epoch {epoch}: loss {total / len(labels):.3f}, test accuracy {reached:.3f}", flush=True)
    return reached


if __name__ == "__main__":
    main()
