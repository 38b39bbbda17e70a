"""Networks for the engine's tests: one of every family, thin, and what the reference says of them."""

from functools import cache

import numpy as np

from verydeep.backends import numpy_reference
from verydeep.backends.check import narrow, sample_weights
from verydeep.backends.odd_networks import ODD_NETWORKS
from verydeep.families.catalog import CATALOG
from verydeep.spec import Network, walk

FAMILIES = (
    "vgg11_lrn",
    "vgg16",
    "vgg16_1x1",
    "vgg13_bn",
    "alexnet_2012",
    "nin",
    "googlenet",
    "googlenet_bn",
    "resnet18",
    "resnet50",
    "resnet20_cifar",
    "lenet5",
    "mnist_cnn",
)
OTHERS = tuple(name for name in CATALOG if name not in FAMILIES)
ODD = {odd.name: odd for odd in ODD_NETWORKS}


@cache
def net(name: str) -> Network:
    """The thin network of this name, or the odd one."""
    return ODD[name] if name in ODD else narrow(name, CATALOG[name])


@cache
def weights(name: str) -> dict[str, np.ndarray]:
    """Weights that every layer shows in."""
    return sample_weights(net(name))


@cache
def images(shape: tuple[int, ...], seed: int = 1) -> np.ndarray:
    """A batch (n, c, h, w) that nobody may write to."""
    drawn = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    drawn.flags.writeable = False
    return drawn


def layers(network: Network) -> list[str]:
    """The names of all layers."""
    return [step.layer.name for step in walk(network)]


@cache
def reference(name: str) -> dict[str, np.ndarray]:
    """Every layer's output for two images, in float64."""
    network = net(name)
    found = numpy_reference.run(network, weights(name), images((2, *network.input)), taps=layers(network))
    del found["output"]
    return found


def error(found, expected: np.ndarray) -> float:
    """The largest difference over the largest number."""
    return float(np.abs(np.asarray(found) - expected).max() / np.abs(expected).max())
