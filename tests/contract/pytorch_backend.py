"""PyTorch as the contract sees a backend: NumPy in, NumPy out."""

from collections.abc import Iterable, Mapping
from typing import Any, final

import numpy.typing as npt
import torch
from torch import nn

from verydeep.backends import pytorch
from verydeep.backends.numpy_reference import Mode
from verydeep.spec import Network

Array = npt.NDArray[Any]


@final
class PyTorch:
    """`verydeep.backends.pytorch` with its maps in one of the two layouts, in single or double precision."""

    def __init__(self, layout: pytorch.Layout = "channels_first", precision: torch.dtype = torch.float32) -> None:
        self.layout: pytorch.Layout = layout
        self.precision = precision

    def build(self, network: Network, arrays: Mapping[str, Array]) -> nn.Sequential:
        return pytorch.build(network, arrays, layout=self.layout).to(self.precision)

    def run(self, model: nn.Sequential, images: Array, *, mode: Mode, taps: Iterable[str]) -> dict[str, Array]:
        model.train(mode == "train")
        with torch.inference_mode():
            outputs = pytorch.run(model, torch.from_numpy(images).to(self.precision), taps=taps)
        return {name: output.numpy() for name, output in outputs.items()}

    def get_weights(self, model: nn.Sequential) -> dict[str, Array]:
        return pytorch.get_weights(model)
