"""Logits by a PyTorch model, for the formats whose files PyTorch itself computes with."""

from collections.abc import Callable

import torch
from torch import Tensor

from verydeep.deploy.formats import Float32, Runner


def by_pytorch(model: Callable[[Tensor], Tensor]) -> Runner:
    """What computes with `model`, which must be in evaluation mode."""

    def run(images: Float32) -> Float32:
        with torch.inference_mode():
            return model(torch.from_numpy(images)).numpy()

    return run
