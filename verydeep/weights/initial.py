"""Weights before training, by named rules, the same arrays for every framework.

Each array has a random stream of its own, from the seed and its name: layers do not depend on one another's size.
"""

import math
from collections.abc import Callable
from typing import Any
from zlib import crc32

import numpy as np
import numpy.typing as npt

from verydeep.errors import ConfigError, choices
from verydeep.spec import BatchNorm, Network, Shape, Weight, walk

Array = npt.NDArray[np.float32]
Weights = dict[str, npt.NDArray[Any]]


def he(shape: Shape, stream: np.random.Generator) -> Array:
    """Normal, variance 2 / fan-in (He et al., arXiv:1502.01852)."""
    return _normal(shape, stream, math.sqrt(2 / _fans(shape)[0]))


def torchvision(shape: Shape, stream: np.random.Generator) -> Array:
    """What torchvision's VGG does: convolutions normal with variance 2 / fan-out, linear layers with std 0.01."""
    return _normal(shape, stream, math.sqrt(2 / _fans(shape)[1]) if len(shape) == 4 else 0.01)


def glorot(shape: Shape, stream: np.random.Generator) -> Array:
    """Uniform within sqrt(6 / (fan-in + fan-out)): the VGG paper's footnote (Glorot & Bengio, AISTATS 2010)."""
    limit = math.sqrt(6 / sum(_fans(shape)))
    return (stream.random(shape, dtype=np.float32) * 2 - 1) * np.float32(limit)


def paper(shape: Shape, stream: np.random.Generator) -> Array:
    """Normal, *variance* 1e-2, the letter of arXiv:1409.1556, section 3.1."""
    return _normal(shape, stream, 0.1)


def caffe(shape: Shape, stream: np.random.Generator) -> Array:
    """Normal, *standard deviation* 0.01: how Caffe's users and MatConvNet read the same sentence."""
    return _normal(shape, stream, 0.01)


def identity(shape: Shape, stream: np.random.Generator) -> Array:
    """Each map is passed on while there are outputs for it (arXiv:2404.00498, section 3.3); the rest as in PyTorch.

    PyTorch's own rule, of convolutions and linear layers, is uniform within 1 / sqrt(fan-in). An even kernel's middle
    is the place that `torch.nn.init.dirac_` takes: half its size, rounded down.
    """
    limit = 1 / math.sqrt(_fans(shape)[0])
    array = (stream.random(shape, dtype=np.float32) * 2 - 1) * np.float32(limit)
    if len(shape) == 4:
        passed = np.arange(min(shape[:2]))
        array[passed] = 0.0
        array[passed, passed, shape[2] // 2, shape[3] // 2] = 1.0
    return array


RULES: dict[str, Callable[[Shape, np.random.Generator], Array]] = {
    "he": he,
    "torchvision": torchvision,
    "glorot": glorot,
    "paper": paper,
    "caffe": caffe,
    "identity": identity,
}


def initial(network: Network, *, rule: str = "he", seed: int = 0) -> Weights:
    """Every array of `network` before training, float32, by canonical name.

    Args:
        network: The network to be trained.
        rule: A name in `RULES`, for the weights of convolutions and linear layers; biases are 0, batch norm is the
            identity.
        seed: A whole number of at least 0.

    Raises:
        ConfigError: no rule has this name, or the seed is negative.
    """
    if rule not in RULES:
        raise ConfigError(f"no initialisation is called {rule!r}", code="INIT-UNKNOWN", hint=choices(rule, RULES))
    if seed < 0:
        raise ConfigError(f"the seed is {seed}", code="SEED", hint="Give a whole number of at least 0.")
    arrays: Weights = {}
    for step in walk(network):
        for weight in step.layer.weights(step.before):
            name = f"{step.layer.name}.{weight.name}"
            if len(weight.shape) > 1:
                stream = np.random.default_rng([seed, crc32(name.encode())])
                arrays[name] = RULES[rule](weight.shape, stream)
            else:
                arrays[name] = _constant(weight, is_norm=isinstance(step.layer, BatchNorm))
    return arrays


def _constant(weight: Weight, *, is_norm: bool) -> Array:
    ones = is_norm and weight.name in ("weight", "running_var")
    return np.ones(weight.shape, np.float32) if ones else np.zeros(weight.shape, np.float32)


def _normal(shape: Shape, stream: np.random.Generator, deviation: float) -> Array:
    return stream.standard_normal(shape, dtype=np.float32) * np.float32(deviation)


def _fans(shape: Shape) -> tuple[int, int]:
    """Inputs that each output sums, and outputs that each input reaches: (out, in, *kernel)."""
    window = math.prod(shape[2:])
    return shape[1] * window, shape[0] * window
