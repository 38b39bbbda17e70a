"""What an export takes: a network with its weights, how images become its input, and what its outputs are called."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, assert_never

import numpy.typing as npt

from verydeep import spec_json
from verydeep.deploy.formats import Input
from verydeep.preprocessing import Preprocessing
from verydeep.rewrite.dense import dense, dense_weights
from verydeep.rewrite.preprocess import fold_preprocessing
from verydeep.run import Run
from verydeep.spec import Flatten, Linear, Network, Pool, walk


@dataclass(frozen=True, slots=True, eq=False)
class Bundle:
    """A trained network with all that one must know to use it."""

    network: Network
    weights: Mapping[str, npt.NDArray[Any]]  # canonical names, OIHW
    preprocessing: Preprocessing  # what is done to an image before the network reads it
    classes: tuple[str, ...]  # names in the order of the outputs

    def texts(self) -> dict[str, str]:
        """What a file's metadata say beside the description: JSON of `classes` and of `preprocessing`."""
        return {
            "classes": json.dumps(self.classes, ensure_ascii=False),
            "preprocessing": json.dumps(self.preprocessing.to_json()),
        }

    def described(self) -> dict[str, str]:
        """The same with the description, `verydeep`, for formats that have no place of their own for it."""
        return {"verydeep": spec_json.dumps(self.network), **self.texts()}


def of_run(run: Run) -> Bundle:
    """The network of a run."""
    return Bundle(run.network, run.weights, run.preprocessing, run.classes)


def of_any_size(bundle: Bundle) -> Bundle:
    """The fully convolutional form, which scores every place of an image that is rescaled and not cropped.

    Raises:
        SpecError: a layer has no such form.
    """
    network, weights = bundle.network, bundle.weights
    if any(_needs_one_size(step.layer) for step in walk(network)):
        network, weights = dense(network), dense_weights(network, weights)
    return replace(bundle, network=network, weights=weights, preprocessing=replace(bundle.preprocessing, crop="none"))


def that_takes(bundle: Bundle, input: Input) -> Bundle:
    """The same with as much of the preprocessing inside as a format wants; the record says what is left."""
    match input:
        case "pixels":
            return for_pixels(bundle)
        case "rgb":
            return for_rgb(bundle)
        case "normalised":
            return bundle
    assert_never(input)


def for_pixels(bundle: Bundle) -> Bundle:
    """The same with order of colours, mean and deviation inside: it takes pixels of 0..255, RGB or grey.

    Rescaling and cropping stay outside; `preprocessing` says how.
    """
    network, weights, preprocessing = fold_preprocessing(
        bundle.network, bundle.weights, preprocessing=bundle.preprocessing
    )
    return replace(bundle, network=network, weights=weights, preprocessing=preprocessing)


def for_rgb(bundle: Bundle) -> Bundle:
    """The same for libraries that know no other order of colours: where it was BGR, it is folded into the weights."""
    if bundle.preprocessing.color != "BGR":
        return bundle
    network, weights, preprocessing = fold_preprocessing(
        bundle.network, bundle.weights, preprocessing=bundle.preprocessing, mean="keep"
    )
    return replace(bundle, network=network, weights=weights, preprocessing=preprocessing)


def _needs_one_size(layer: object) -> bool:
    return isinstance(layer, Flatten | Linear) or (isinstance(layer, Pool) and layer.kernel is None)
