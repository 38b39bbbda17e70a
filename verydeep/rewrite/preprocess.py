"""Preprocessing folded into the network: it then reads the pixels of an image as they are, and nobody can forget it.

A convolution reads (pixel - mean) / deviation, its channels in some order. Order and deviation fold into its kernel
exactly: W (p - m) / s = (W / s) (p - m). The mean folds into its bias, b - sum of (W / s) m, only where nothing is
padded: a border of zeros stands for the mean colour before the fold and for black after it. In column D, which pads,
the border of conv1_1 would be off by 60 to 66 % of its largest number and the logits by 2 to 4 % (ImageNet's mean,
random weights, six photographs). There a layer `normalize` in front subtracts the mean instead, and all stays equal.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from verydeep.errors import ConfigError, SpecError
from verydeep.preprocessing import Preprocessing
from verydeep.spec import Block, Conv, Layer, Network
from verydeep.weights.fit import refuse_misfit, shapes

Array: TypeAlias = npt.NDArray[Any]
Folded: TypeAlias = tuple[Network, dict[str, Array], Preprocessing]

FRONT = "normalize"  # the block that is put in front, and its layer


def fold_preprocessing(
    network: Network,
    weights: Mapping[str, Array],
    *,
    preprocessing: Preprocessing,
    mean: Literal["fold", "keep"] = "fold",
) -> Folded:
    """The same function of an image, but as much of `preprocessing` as can be is done by the network.

    Computed in float64 and given back in the type of the first layer's own weight.

    Args:
        network: What is rewritten; without its weights nothing folds.
        weights: Canonical names, OIHW.
        preprocessing: How images become what `network` takes.
        mean: "fold": the network takes RGB or grey pixels of 0..255. Where its first layer is no convolution or pads
            its input, a block `normalize` comes in front. "keep": no layer is added, the network takes RGB pixels
            with the mean subtracted; so weights of torchvision become those of the paper, "mean subtracted" only.

    Returns:
        Network, weights and record that belong together. Size, resize and crop stay in the record: they are no
        layers. What is folded already comes back as it is.

    Raises:
        ConfigError: the record is for images of another number of channels, or `mean` is neither word.
        SpecError: with "keep", the first layer is no convolution that colours or deviations can fold into.
        WeightsError: `weights` are not those of `network`.
    """
    refuse_misfit(shapes(network), weights, of=network.name)
    if mean not in ("fold", "keep"):
        raise ConfigError(f"mean is {mean!r}", code="OPTION-VALUE", hint="Choose fold or keep.")
    if preprocessing.channels != network.input[0]:
        raise ConfigError(
            f"{network.name} takes images of {network.input[0]} channels, its preprocessing gives "
            f"{preprocessing.channels}",
            code="PREPROCESS-INVALID",
            hint="Take the record that came with these weights.",
        )
    first = network.blocks[0].layers[0]
    if isinstance(first, Conv) and first.groups == 1:
        folded = _fold_order_and_deviation(network, weights, preprocessing, first)
        return folded if mean == "keep" else _fold_mean(*folded, first)
    if mean == "fold":
        return _put_in_front(network, weights, preprocessing)
    if _mean_left(preprocessing) != preprocessing:
        raise SpecError(
            f"{network.name} begins with {first.name}, no convolution over all channels that it could fold into",
            hint='Take mean="fold", which puts a layer in front.',
        )
    return network, dict(weights), preprocessing


def _mean_left(preprocessing: Preprocessing) -> Preprocessing:
    """What remains to be done to the pixels: subtract the mean."""
    if preprocessing.color == "BGR":
        preprocessing = replace(preprocessing, color="RGB", mean=preprocessing.mean[::-1])
    return replace(preprocessing, std=(1.0,) * preprocessing.channels)


def _fold_order_and_deviation(
    network: Network, weights: Mapping[str, Array], preprocessing: Preprocessing, first: Conv
) -> Folded:
    name = f"{first.name}.weight"
    kernel = weights[name] / np.array(preprocessing.std)[:, None, None]
    if preprocessing.color == "BGR":
        kernel = kernel[:, ::-1]
    arrays = {**weights, name: np.ascontiguousarray(kernel, dtype=weights[name].dtype)}
    return network, arrays, _mean_left(preprocessing)


def _fold_mean(network: Network, weights: Mapping[str, Array], preprocessing: Preprocessing, first: Conv) -> Folded:
    """The mean into the bias of `first`, or in front of it where it pads with zeros."""
    if first.padding != ((0, 0), (0, 0)) or not any(preprocessing.mean):
        return _put_in_front(network, weights, preprocessing)
    kernel = weights[f"{first.name}.weight"]
    mean = np.array(preprocessing.mean)
    bias = weights[f"{first.name}.bias"] if first.bias else np.zeros(first.channels)
    bias = bias - np.einsum("ocij,c->o", kernel.astype(np.float64), mean)
    block, *others = network.blocks
    biased = Block(block.name, (replace(first, bias=True), *block.layers[1:]))
    changed = replace(network, name=_name(network), blocks=(biased, *others))
    arrays = {**weights, f"{first.name}.bias": bias.astype(kernel.dtype)}
    return changed, {name: arrays[name] for name in shapes(changed)}, _nothing_left(preprocessing)


def _put_in_front(network: Network, weights: Mapping[str, Array], preprocessing: Preprocessing) -> Folded:
    """A 1x1 convolution that does all of `preprocessing`, each channel by itself unless their order changes."""
    done = _nothing_left(preprocessing)
    if preprocessing == done:
        return network, dict(weights), preprocessing
    channels, is_turned = preprocessing.channels, preprocessing.color == "BGR"
    order = np.eye(channels)[::-1] if is_turned else np.ones((channels, 1))
    deviation, mean = np.array(preprocessing.std), np.array(preprocessing.mean)
    layer: Layer = Conv(FRONT, channels, (1, 1), groups=1 if is_turned else channels)
    changed = replace(network, name=_name(network), blocks=(Block(FRONT, (layer,)), *network.blocks))
    dtype = next(iter(weights.values())).dtype if weights else np.dtype(np.float32)
    front = {
        f"{FRONT}.weight": (order / deviation[:, None])[:, :, None, None].astype(dtype),
        f"{FRONT}.bias": (-mean / deviation).astype(dtype),
    }
    return changed, {**front, **weights}, done


def _nothing_left(preprocessing: Preprocessing) -> Preprocessing:
    """Nothing remains to be done to the pixels."""
    return replace(_mean_left(preprocessing), mean=(0.0,) * preprocessing.channels)


def _name(network: Network) -> str:
    return f"{network.name}_pixels"
