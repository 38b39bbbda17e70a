"""The optimiser of a run, and its state as named arrays for the checkpoint."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer

from verydeep.settings.config import Config


def optimizer_for(parameters: Mapping[str, nn.Parameter], config: Config) -> Optimizer:
    """SGD with momentum, or AdamW, over parameters by canonical name; biases and batch norms decay only if asked."""
    decays = [p for p in parameters.values() if config.decayed == "all" or p.ndim > 1]
    others = [p for p in parameters.values() if config.decayed != "all" and p.ndim <= 1]
    groups = [
        {"params": group, "weight_decay": decay}
        for group, decay in ((decays, config.weight_decay), (others, 0.0))
        if group
    ]
    if config.optimizer == "adamw":
        return AdamW(groups, lr=config.lr, betas=(config.momentum, 0.999))
    nesterov = config.nesterov and config.momentum > 0
    return SGD(groups, lr=config.lr, momentum=config.momentum, nesterov=nesterov)


def state_of(optimizer: Optimizer, parameters: Mapping[str, nn.Parameter]) -> dict[str, Tensor]:
    """The optimiser's arrays as ``conv1_1.weight/momentum_buffer``."""
    return {
        f"{name}/{key}": value
        for name, parameter in parameters.items()
        for key, value in optimizer.state[parameter].items()
        if isinstance(value, Tensor)
    }


def restore(optimizer: Optimizer, parameters: Mapping[str, nn.Parameter], arrays: Mapping[str, Tensor]) -> None:
    """Give the optimiser the arrays that `state_of` read."""
    for name, parameter in parameters.items():
        for key, value in arrays.items():
            owner, _, kind = key.partition("/")
            if owner == name:
                like = parameter if value.shape == parameter.shape else value
                optimizer.state[parameter][kind] = torch.empty_like(like, dtype=value.dtype).copy_(value)
