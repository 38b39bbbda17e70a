"""AlexNet, as published with two groups and LRN (NIPS 2012), and in the one-column form that torchvision uses."""

from verydeep.families.width import scaled
from verydeep.spec import LRN, Block, Dropout, Flatten, Layer, Linear, Network, ReLU, Shape, conv, pool


def alexnet(
    *,
    input: Shape = (3, 224, 224),
    classes: int = 1000,
    width: float = 1.0,
    fc: tuple[int, ...] = (4096, 4096),
    dropout: float = 0.5,
) -> Network:
    """The one-column AlexNet of "One weird trick" (Krizhevsky, arXiv:1404.5997): 61,100,840 parameters at 224."""
    blocks = (
        Block(
            "block1",
            (
                *(conv("conv1", scaled(64, width), kernel=11, stride=4, padding=2), ReLU("relu1")),
                pool("pool1", kernel=3, stride=2),
            ),
        ),
        Block(
            "block2",
            (
                *(conv("conv2", scaled(192, width), kernel=5, padding=2), ReLU("relu2")),
                pool("pool2", kernel=3, stride=2),
            ),
        ),
        Block(
            "block3",
            (
                *(conv("conv3", scaled(384, width), padding=1), ReLU("relu3")),
                *(conv("conv4", scaled(256, width), padding=1), ReLU("relu4")),
                *(conv("conv5", scaled(256, width), padding=1), ReLU("relu5")),
                pool("pool5", kernel=3, stride=2),
            ),
        ),
    )
    layers: tuple[Layer, ...] = (Flatten("flatten"),)
    for number, features in enumerate(fc, start=6):
        layers = (*layers, Dropout(f"drop{number}", dropout), Linear(f"fc{number}", features), ReLU(f"relu{number}"))
    head = Block("head", (*layers, Linear(f"fc{6 + len(fc)}", classes)))
    return Network("alexnet", input, (*blocks, head), source="Krizhevsky, arXiv:1404.5997")


def alexnet_2012(
    *,
    input: Shape = (3, 227, 227),
    classes: int = 1000,
    width: float = 1.0,
    fc: tuple[int, ...] = (4096, 4096),
    dropout: float = 0.5,
) -> Network:
    """AlexNet as published: conv2, conv4 and conv5 in two groups, LRN after relu1 and relu2; 60,965,224 parameters.

    The text says 224x224, but only 227x227 gives its 55x55 maps.
    """
    blocks = (
        Block(
            "block1",
            (
                *(conv("conv1", scaled(96, width, multiple=2), kernel=11, stride=4), ReLU("relu1"), LRN("norm1")),
                pool("pool1", kernel=3, stride=2),
            ),
        ),
        Block(
            "block2",
            (
                conv("conv2", scaled(256, width, multiple=2), kernel=5, padding=2, groups=2),
                *(ReLU("relu2"), LRN("norm2")),
                pool("pool2", kernel=3, stride=2),
            ),
        ),
        Block(
            "block3",
            (
                *(conv("conv3", scaled(384, width, multiple=2), padding=1), ReLU("relu3")),
                *(conv("conv4", scaled(384, width, multiple=2), padding=1, groups=2), ReLU("relu4")),
                *(conv("conv5", scaled(256, width, multiple=2), padding=1, groups=2), ReLU("relu5")),
                pool("pool5", kernel=3, stride=2),
            ),
        ),
    )
    layers: tuple[Layer, ...] = (Flatten("flatten"),)
    for number, features in enumerate(fc, start=6):
        layers = (*layers, Linear(f"fc{number}", features), ReLU(f"relu{number}"), Dropout(f"drop{number}", dropout))
    head = Block("head", (*layers, Linear(f"fc{6 + len(fc)}", classes)))
    return Network("alexnet_2012", input, (*blocks, head), source="Krizhevsky, Sutskever & Hinton, NIPS 2012")
