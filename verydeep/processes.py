"""The processes of a run: one, or as many as `torchrun` started; each computes its share and sums with the others."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from os import environ
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from verydeep.errors import ConfigError, VerydeepError, WorkerError

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

    def average(self, tensors: list[Tensor]) -> None:
        """Give all processes the mean of each float tensor, in place: the same bits on all of them."""
        if self.world > 1:
            for tensor in tensors:
                dist.all_reduce(tensor)
                tensor.div_(self.world)

    def on_first(self, task: Callable[[], T]) -> T:
        """What `task` gives on the first process, on all of them; if it raises one of our errors, all raise it."""
        if self.world == 1:
            return task()
        box: list[T | VerydeepError | None] = [None]
        if self.is_first:
            try:
                box[0] = task()
            except VerydeepError as error:
                box[0] = error
        dist.broadcast_object_list(box, src=0, device=torch.device("cpu"))
        if isinstance(box[0], VerydeepError):
            raise box[0]
        return box[0]  # type: ignore[return-value]


@contextmanager
def joined(device: str) -> Iterator[Processes]:
    """Take part in the run that `torchrun` started, or be the only process.

    Args:
        device: "auto" (a GPU where there is one), "cpu", "cuda" or "cuda:N".

    Raises:
        ConfigError: no such device here, or torchrun's variables are damaged.
        WorkerError: the other processes cannot be reached, or one of them failed.
    """
    rank, world, local = (
        _variable(name, default) for name, default in (("RANK", 0), ("WORLD_SIZE", 1), ("LOCAL_RANK", 0))
    )
    chosen = _device(device, local=local if world > 1 else None)
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)  # whose random numbers `torch.cuda` means
    if world == 1:
        yield Processes(chosen)
        return
    try:
        # Tensors on the CPU go through gloo on GPU machines too: counts and messages stay there.
        dist.init_process_group("cpu:gloo,cuda:nccl" if chosen.type == "cuda" else "gloo", timeout=TIMEOUT)
    except (RuntimeError, ValueError) as error:
        raise _lost(rank, world, error) from None
    try:
        yield Processes(chosen, rank, world)
        dist.barrier()  # who leaves while another still listens makes that one abort
    except RuntimeError as error:
        if not _is_about_processes(error):
            raise
        raise _lost(rank, world, error) from None
    finally:
        dist.destroy_process_group()


def speaks() -> bool:
    """Whether this process prints and writes for all that torchrun started; true for a single one."""
    return _variable("RANK", 0) == 0


def _lost(rank: int, world: int, error: Exception) -> WorkerError:
    detail = str(error).splitlines()[0]
    return WorkerError(
        f"rank {rank} of {world} cannot reach the others: {detail}",
        code="WORLD-LOST",
        hint="The first error that another rank printed is the cause; resume the run once it is mended.",
    )


def _is_about_processes(error: RuntimeError) -> bool:
    words = str(error).lower()
    return isinstance(error, dist.DistError) or any(word in words for word in ("gloo", "nccl", "connection"))


def _variable(name: str, default: int) -> int:
    text = environ.get(name, str(default))
    if not text.isdecimal():
        raise ConfigError(
            f"the variable {name} is {text!r}, not a whole number", code="WORLD-VARIABLE", hint="Let torchrun set it."
        )
    return int(text)


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
