"""Which engine computes: our kernels wherever they are right and fast, else PyTorch; and the reason."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor

from verydeep.backends import pytorch
from verydeep.backends.pytorch import Layout
from verydeep.engine import library
from verydeep.engine.choice import Choice, check_engine
from verydeep.engine.engine import Engine
from verydeep.errors import ConfigError
from verydeep.spec import Network


def choose(engine: str = "auto", *, device: str | torch.device = "cpu", why_not: str | None = None) -> Choice:
    """The engine for networks in evaluation on a device.

    Args:
        engine: "auto" is ours where it is right and fast; the others are taken at their word.
        device: Where it computes.
        why_not: What else speaks against ours.

    Raises:
        ConfigError: code ENGINE-UNKNOWN, there is none of this name; ENGINE-UNAVAILABLE, "verydeep" is wanted and
            cannot run here; ISA-UNAVAILABLE, VERYDEEP_ISA names what cannot run.
    """
    check_engine(engine)
    place = torch.device(device)
    theirs = "pytorch float32" if place.type == "cpu" else f"pytorch float32 {place}"
    if engine == "pytorch":
        return Choice("pytorch", theirs)
    reason = why_not or (f"it computes on the CPU, not on {place}" if place.type != "cpu" else library.why_not())
    if reason is None and engine == "auto" and library.active() == "generic":
        reason = "our kernels have no vector instructions of this processor"
    if reason is None:
        return Choice("verydeep", f"verydeep {library.active()} float32")
    if engine == "verydeep":
        raise ConfigError(
            f"the engine verydeep cannot run here: {reason}",
            code="ENGINE-UNAVAILABLE",
            hint="auto computes in PyTorch instead.",
        )
    return Choice("pytorch", theirs, reason)


def ready(
    choice: Choice,
    network: Network,
    weights: Mapping[str, npt.NDArray[Any]],
    *,
    device: str | torch.device = "cpu",
    layout: Layout = "channels_first",
) -> Callable[[Tensor], Tensor]:
    """The network in the chosen engine, in evaluation; `layout` is for PyTorch.

    Raises:
        WeightsError: `weights` are not those of the network.
    """
    if choice.engine == "verydeep":
        return Engine(network, weights)
    return pytorch.build(network, weights, layout=layout).eval().to(device)
