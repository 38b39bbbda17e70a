"""A network whose last layer gives a box: one for all classes (SCR) or one for each class (PCR; arXiv:1409.1556, A).

SCR is single-class regression, 4 outputs; PCR is per-class regression, 4 x classes outputs, those of class c at
4c .. 4c + 3. Each box is (centre x, centre y, width, height) in units of the crop: see `frame`.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from verydeep.rewrite.cut import head_weights, with_head
from verydeep.spec import Network, weights
from verydeep.weights.fit import refuse_misfit, shapes
from verydeep.weights.initial import Weights, initial

BoxMode: TypeAlias = Literal["single-class", "per-class"]

SHORT: dict[BoxMode, str] = {"single-class": "scr", "per-class": "pcr"}  # the paper's names
COORDINATES = 4


def locator(network: Network, *, boxes: BoxMode) -> Network:
    """The classifier `network` with boxes in place of class scores; all layers keep their names.

    What the description calls its `classes` are the outputs: 4, or 4 for each class.

    Raises:
        SpecError: the network does not end in a layer of class scores.
    """
    outputs = COORDINATES * (network.classes if boxes == "per-class" else 1)
    return replace(with_head(network, classes=outputs), name=f"{network.name}_{SHORT[boxes]}")


def first_weights(
    network: Network, *, boxes: BoxMode, classifier_weights: Mapping[str, npt.NDArray[Any]], seed: int
) -> Weights:
    """The classifier's weights, and a last layer from scratch: normal with a standard deviation of 0.01, biases 0.

    Raises:
        WeightsError: `classifier_weights` are not those of `network`.
    """
    refuse_misfit(shapes(network), classifier_weights, of=network.name)
    described = locator(network, boxes=boxes)
    head, fresh = head_weights(described), initial(described, rule="caffe", seed=seed)
    return {name: fresh[name] if name in head else np.asarray(classifier_weights[name]) for name in weights(described)}


def of_class(outputs: npt.NDArray[Any], labels: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """The box [n, 4] that outputs [n, 4] or [n, 4 x classes] give for the class of each image, `labels` [n]."""
    boxes = outputs.reshape(len(outputs), -1, COORDINATES).astype(np.float64)
    return boxes[np.arange(len(boxes)), labels if boxes.shape[1] > 1 else 0]
