"""The processes of a run: one, or as many as `torchrun` started; each computes its share and sums with the others."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from os import environ
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from verydeep.errors import ConfigError, WorkerError

T = TypeVar("T")

TIMEOUT = timedelta(minutes=5)  # after which a silent process counts as lost; PyTorch's own default is 30 minutes


@dataclass(frozen=True, slots=True)
class Processes:
    """This process among all: `rank` of `world`, and the device that it computes on."""

    device: torch.device
    rank: int = 0
    world: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and speaks for all."""
        return self.rank == 0

    def total(self, tensor: Tensor) -> Tensor:
        """The sum of `tensor` over all processes, in place."""
        if self.world > 1:
            dist.all_reduce(tensor)
        return tensor

    def from_first(self, value: T) -> T:
        """What the first process holds, on all of them."""
        if self.world == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0)
        return box[0]


@contextmanager
def joined(device: str) -> Iterator[Processes]:
    """Take part in the run that `torchrun` started, or be the only process.

    Args:
        device: "auto" (a GPU where there is one), "cpu", "cuda" or "cuda:N".

    Raises:
        ConfigError: no such device here.
        WorkerError: the other processes cannot be reached.
    """
    world = int(environ.get("WORLD_SIZE", "1"))
    rank = int(environ.get("RANK", "0"))
    chosen = _device(device, local=int(environ.get("LOCAL_RANK", "0")) if world > 1 else None)
    if world == 1:
        yield Processes(chosen)
        return
    try:
        dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo", timeout=TIMEOUT)
    except (RuntimeError, ValueError) as error:
        raise WorkerError(
            f"rank {rank} of {world} cannot reach the others: {error}",
            code="WORLD-UNREACHABLE",
            hint="Start all processes with one torchrun command.",
        ) from None
    try:
        yield Processes(chosen, rank, world)
    finally:
        dist.destroy_process_group()


def _device(name: str, *, local: int | None) -> torch.device:
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        name = "cuda" if count else "cpu"
    if name == "cuda" and local is not None:
        name = f"cuda:{local}"
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    usable = device.type == "cpu" or (device.type == "cuda" and (device.index or 0) < count)
    if not usable:
        found = ", ".join(["cpu", *(f"cuda:{index}" for index in range(count))])
        raise ConfigError(f"device {name!r} is not here", code="DEVICE", hint=f"Devices found: {found}.")
    return device
