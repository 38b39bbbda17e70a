"""Test images seen in six ways, as the published recipe does: mirrored or not, in place or moved by a pixel."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

TOGETHER = 2000  # images at a time


@torch.inference_mode()
def accuracies(model: nn.Module, images: Tensor, labels: Tensor, *, bf16: bool) -> dict[str, float]:
    """Share of right answers from the image alone, with its mirror image, and with both of them moved too."""
    model.eval()
    found: dict[str, float] = {}
    for name, view in (("plain", _plain), ("mirror", _mirror), ("six", _six)):
        with torch.autocast(images.device.type, dtype=torch.bfloat16, enabled=bf16):
            logits = torch.cat([view(model, part) for part in images.split(TOGETHER)])
        found[name] = (logits.argmax(1) == labels).double().mean().item()
    return found


def _plain(model: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    return model(images).float()


def _mirror(model: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    return (_plain(model, images) + _plain(model, images.flip(-1))) / 2


def _six(model: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """Half the weight on the place itself, a quarter on one pixel up and left, a quarter on down and right."""
    height, width = images.shape[2:]
    wide = functional.pad(images, (1, 1, 1, 1), "reflect")
    moved = (wide[:, :, :height, :width], wide[:, :, 2:, 2:])
    return _mirror(model, images) / 2 + sum(_mirror(model, view) for view in moved) / 4
