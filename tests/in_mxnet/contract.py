"""How far the MXNet backend is from the reference, as JSON: `python -m tests.in_mxnet.contract single`, or `double`."""

import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

import numpy.typing as npt
from mxnet.gluon import nn

from verydeep.backends import mxnet_gluon
from verydeep.backends.check import TOLERANCE, check_network, samples
from verydeep.backends.numpy_reference import Mode
from verydeep.spec import LRN, BatchNorm, Network, walk

Array = npt.NDArray[Any]

SUMMED = 1e-4  # in train mode: MXNet's float32 sums for batch norm are less exact than PyTorch's
MOMENTUM = 5e-6  # MXNet keeps the momentum of running statistics in float32, in a double model too


class Double:
    """The backend with all numbers in double precision."""

    def build(self, network: Network, arrays: Mapping[str, Array]) -> nn.HybridSequential:
        model = mxnet_gluon.build(network, arrays)
        model.cast("float64")
        return model

    def run(self, model: nn.HybridSequential, images: Array, *, mode: Mode, taps: Iterable[str]) -> dict[str, Array]:
        return mxnet_gluon.run(model, images, mode=mode, taps=taps)

    def get_weights(self, model: nn.HybridSequential) -> dict[str, Array]:
        return mxnet_gluon.get_weights(model)


def has(kind: type[object], network: Network) -> bool:
    return any(isinstance(step.layer, kind) for step in walk(network))


if __name__ == "__main__":
    found = []
    for network in samples():
        if sys.argv[1] == "single":
            tolerance = SUMMED if has(BatchNorm, network) else TOLERANCE
            found.extend(check_network(mxnet_gluon, network, tolerance=tolerance))
        elif has(BatchNorm, network) and not has(LRN, network):  # MXNet has no LRN in double precision
            found.extend(check_network(Double(), network, tolerance=MOMENTUM))
    print(json.dumps([asdict(agreement) for agreement in found]))
