"""Small networks of every kind that has something to go wrong at the border of a map, and runs of them."""

from pathlib import Path

import numpy as np

from verydeep.backends.check import sample_weights
from verydeep.families.vgg import vgg
from verydeep.preprocessing import Preprocessing
from verydeep.run import Run
from verydeep.settings.config import Config
from verydeep.spec import LRN, Block, Flatten, Linear, Network, ReLU, conv, pool

CLASSES = ("ant", "bee", "cat", "dog", "elk")
HEAD = Block("head", (Flatten("flatten"), Linear("fc6", 7), ReLU("relu6"), Linear("fc7", len(CLASSES))))

NETS = {
    "A": vgg(((1, 4), (2, 6)), input=(3, 16, 16), classes=len(CLASSES), fc=(8,)),
    "C, with 1x1, grey": Network(
        "c",
        (1, 14, 14),
        (
            Block("one", (conv("c1", 4, padding=1), ReLU("r1"), conv("c2", 4, kernel=1), ReLU("r2"))),
            Block(
                "two", (pool("p1", stride=2), conv("c3", 5, padding=1), conv("c4", 5, kernel=1), pool("p2", stride=2))
            ),
            HEAD,
        ),
    ),
    "LRN, pools that round up": Network(
        "lrn",
        (3, 13, 13),
        (
            Block("one", (conv("c1", 4, padding=1), ReLU("r1"), LRN("n1", alpha=0.5))),
            Block("two", (pool("p1", kernel=3, stride=2, rounding="ceil"), conv("c2", 5, padding=2, kernel=5))),
            HEAD,
        ),
    ),
    "unpadded": Network(
        "unpadded",
        (3, 14, 14),
        (
            Block("one", (conv("c1", 4), ReLU("r1"), pool("p1", stride=2))),
            Block("two", (conv("c2", 5), ReLU("r2"), pool("p2", stride=2))),
            HEAD,
        ),
    ),
    "mean over the whole map": Network(
        "mean",
        (3, 12, 12),
        (
            Block("one", (conv("c1", 4, padding=1), ReLU("r1"), pool("p1", stride=2))),
            Block(
                "two", (conv("c2", 5, padding=1), ReLU("r2"), pool("p2", "average", kernel=None), Flatten("flatten"))
            ),
            Block("head", (Linear("fc", len(CLASSES)),)),
        ),
    ),
}


def a_run(name: str = "A", *, seed: int = 1, classes: tuple[str, ...] = CLASSES) -> Run:
    """A network with drawn weights, whose posteriors are far from even and from certain."""
    network = NETS[name]
    channels, height, width = network.input
    color = "grey" if channels == 1 else "BGR"
    mean = (118.0, 122.0, 130.0)[:channels]
    preprocessing = Preprocessing(channels, (height, width), height + 2, "center", mean, (60.0,) * channels, color)
    weights = {name: array.astype(np.float32) for name, array in sample_weights(network, seed=seed).items()}
    return Run(Path(f"run-{seed}"), Config(workers=0), network, weights, preprocessing, classes, (), {})
