"""The optimiser of a run, and its state as named arrays for the checkpoint."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer

from verydeep.settings.config import Config


def optimizer_for(
    parameters: Mapping[str, nn.Parameter], config: Config, *, factors: Mapping[str, float] | None = None
) -> Optimizer:
    """SGD with momentum, or AdamW, over the parameters that learn; biases and batch norms decay only if asked.

    Args:
        parameters: By canonical name.
        config: The optimiser and its numbers.
        factors: On the learning rate, by canonical name; what is not there has 1. The decay of a step is the same with
            any factor. Each group has its factor under "factor": see `set_rate`.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in parameters.items():
        if parameter.requires_grad:
            factor = (factors or {}).get(name, 1.0)
            decay = config.weight_decay if config.decayed == "all" or parameter.ndim > 1 else 0.0
            groups.setdefault((factor, decay), []).append(parameter)
    given = [
        {"params": group, "weight_decay": decay / factor, "factor": factor} for (factor, decay), group in groups.items()
    ]
    if config.optimizer == "adamw":
        return AdamW(given, lr=config.lr, betas=(config.momentum, 0.999), fused=True)
    nesterov = config.nesterov and config.momentum > 0
    return SGD(given, lr=config.lr, momentum=config.momentum, nesterov=nesterov, fused=True)


def set_rate(optimizer: Optimizer, rate: float) -> None:
    """Give every group the learning rate, times its factor."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("factor", 1.0)


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
                # A fused optimiser counts its steps on the device, the others on the host.
                device = parameter.device if optimizer.defaults.get("fused") else like.device
                own = torch.empty_like(like, dtype=value.dtype, device=device)
                optimizer.state[parameter][kind] = own.copy_(value)
