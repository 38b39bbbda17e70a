"""timm's names (Wightman, github.com/huggingface/pytorch-image-models): VGG with convolutions for fc6 and fc7; ResNets.

timm keeps torchvision's `features.*`, but fc6 is `pre_logits.fc1`, a 7x7 convolution, fc7 `pre_logits.fc2`, a 1x1 one,
and fc8 `head.fc`, a matrix. Its ResNets have torchvision's names; their weights are often trained for other crops and
interpolations than torchvision's, which no file of weights tells: nobody knows their preprocessing.
"""

from collections.abc import Mapping
from typing import Any

import numpy.typing as npt

from verydeep.errors import WeightsError
from verydeep.spec import Flatten, Network, walk
from verydeep.weights import imagenet, torchvision
from verydeep.weights.layout import Stored, from_ours, stored, to_ours
from verydeep.weights.nested import COUNTER

Array = npt.NDArray[Any]

PREPROCESSING = imagenet.MEAN_AND_DEVIATION  # of VGG; timm.models.vgg._cfg: crop_pct 0.875 of 256, bilinear

AREA = (7, 7)  # of the map that pre_logits.fc1 reads; smaller ones timm blows up first, which we do not
CONVOLUTION = "O I H W"
MATRIX = "O (I H W)"
HEAD = {"classifier.0": "pre_logits.fc1", "classifier.3": "pre_logits.fc2", "classifier.6": "head.fc"}


def places(network: Network) -> dict[str, Stored]:
    """Key and axes in timm of every canonical name.

    Raises:
        WeightsError: timm has no such network.
    """
    keys = torchvision.names(network)
    if "layer1.0.conv1.weight" in keys.values():  # a ResNet
        return stored(network, keys)
    modules = {key.rpartition(".")[0] for key in keys.values() if key.startswith("classifier.")}
    area = next((step.before.shape[1:] for step in walk(network) if isinstance(step.layer, Flatten)), None)
    if modules != set(HEAD) or area != AREA:
        raise WeightsError(
            f"{network.name} has no timm form",
            code="WEIGHTS-NO-FORM",
            hint="timm has VGG with three fully connected layers behind a map of 7x7, and ResNets.",
        )
    return stored(network, {name: _key(key) for name, key in keys.items()}, matrix=CONVOLUTION, head=MATRIX)


def from_timm(network: Network, state: Mapping[str, Array]) -> dict[str, Array]:
    """Canonical weights from a timm state dict; batch norm's counters are left behind.

    Raises:
        WeightsError: timm has no such network, or keys are missing, unknown or of another shape.
    """
    kept = {key: array for key, array in state.items() if not key.endswith(COUNTER)}
    return to_ours(network, kept, places=places(network))


def to_timm(network: Network, weights: Mapping[str, Array]) -> dict[str, Array]:
    """The weights as timm's `load_state_dict` takes them, with batch norm's `num_batches_tracked`, 0.

    Raises:
        WeightsError: timm has no such network, or `weights` are not those of `network`.
    """
    return torchvision.with_counters(from_ours(network, weights, places=places(network)))


def _key(key: str) -> str:
    module, _, array = key.rpartition(".")
    return f"{HEAD.get(module, module)}.{array}"
