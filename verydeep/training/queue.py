"""Steps that a GPU is given without waiting for it: what they saw is read many steps later, all at once.

A gradient that is not finite must never reach the weights, and the host does not know yet. So the device decides: the
fused optimisers leave everything as it is where `found_inf` is 1, and once it is 1 it stays 1, until the host reads it
and stops. What follows a wrong step therefore changes nothing that the optimiser learns. Running averages, the slow
weights of `Lookahead` among them, may go on; nothing of such a run is saved.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_
from torch.optim import Optimizer

from verydeep.data.batches import Batch
from verydeep.processes import Processes
from verydeep.settings.config import Config
from verydeep.training.optimizer import set_rate
from verydeep.training.step import Outcome, losses, not_finite, pieces, reseed, stream

ROOM = 64  # steps after which the host reads, if nothing else makes it
LOSS, CORRECT, BAD, WHICH = range(4)  # columns of `Queue.rows`
MEMORY = {"channels_last": torch.channels_last, "channels_first": torch.contiguous_format}
NONE = -1.0  # in WHICH: every gradient is finite, so it is the loss that is not


@dataclass(frozen=True, slots=True, eq=False)
class Waiting:
    """A step that the host has not read."""

    step: int
    indices: NDArray[np.int64] | Tensor
    images: int


class Queue:
    """What the steps saw that the host has not read, on the device."""

    def __init__(self, device: torch.device, *, room: int = ROOM) -> None:
        """Empty, for `room` steps."""
        self.rows = torch.zeros(room, 4, dtype=torch.float64, device=device)
        self.bad = torch.zeros((), device=device)  # 1 once a gradient or a loss was not finite: the optimiser's word
        self.waiting: list[Waiting] = []

    @property
    def is_full(self) -> bool:
        """Whether the host has to read before the next step."""
        return len(self.waiting) == len(self.rows)

    def read(self, model: nn.Module) -> list[Outcome]:
        """What the waiting steps saw, in their order; the host waits for the device here.

        Raises:
            NumericalError: a gradient was not finite; the weights are as they were before that step.
        """
        rows, waiting = self.rows[: len(self.waiting)].tolist(), self.waiting
        self.waiting = []
        for row, one in zip(rows, waiting, strict=True):
            if row[BAD]:
                names = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
                wrong = names[int(row[WHICH])] if row[WHICH] != NONE else "the loss"
                raise not_finite(wrong, step=one.step, loss=row[LOSS] / one.images, indices=one.indices)
        return [
            Outcome(row[LOSS], int(row[CORRECT]), one.images, stop=False)
            for row, one in zip(rows, waiting, strict=True)
        ]


def can_queue(processes: Processes) -> bool:
    """Whether steps need not be waited for: a single process on a GPU."""
    return processes.device.type == "cuda" and processes.world == 1


def queue_step(
    model: nn.Module,
    batch: Batch,
    optimizer: Optimizer,
    queue: Queue,
    *,
    config: Config,
    processes: Processes,
    step: int,
    rate: float,
) -> None:
    """What `take_step` does, for a single process and without waiting for the device.

    Args:
        model: In train mode.
        batch: On any device.
        optimizer: A fused one, as `optimizer_for` makes it: the others do not look at `found_inf`.
        queue: With room; it keeps what this step saw.
        config: Label smoothing, clipping, pieces, precision.
        processes: The device.
        step: The number of this step: dropout depends on it and on the seed, and on nothing that came before.
        rate: The learning rate.
    """
    reseed(processes.device, stream(config.seed, step, processes.rank))
    torch.compiler.cudagraph_mark_step_begin()
    set_rate(optimizer, rate)
    optimizer.zero_grad(set_to_none=True)
    seen = torch.zeros(2, dtype=torch.float64, device=processes.device)
    for piece in pieces(len(batch.indices), config.accumulate):
        images, labels = (_moved(tensor[piece], processes.device) for tensor in (batch.images, batch.labels))
        images = images.contiguous(memory_format=MEMORY[config.layout])
        loss, plain, correct = losses(model, images, labels, config=config, device=processes.device.type)
        (loss * (1 / batch.total)).backward()
        seen += torch.stack((plain.double(), correct.double()))
    _check_and_clip(model, queue, config=config, seen=seen)
    queue.waiting.append(Waiting(step, batch.indices, batch.total))
    optimizer.grad_scale, optimizer.found_inf = None, queue.bad  # type: ignore[attr-defined]
    optimizer.step()


def _check_and_clip(model: nn.Module, queue: Queue, *, config: Config, seen: Tensor) -> None:
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    gradients = [_gradient(parameter) for parameter in learned]
    norms = torch.stack(torch._foreach_norm(gradients))  # pyright: ignore[reportPrivateImportUsage]
    finite, norm = norms.isfinite(), torch.linalg.vector_norm(norms)
    wrong = ~(norm.isfinite() & seen[0].isfinite())
    queue.bad.copy_(torch.maximum(queue.bad, wrong.float()))
    which = torch.where(finite.all(), NONE, finite.to(torch.uint8).argmin().double())
    queue.rows[len(queue.waiting)].copy_(torch.stack((*seen, queue.bad.double(), which)))
    if config.clip:
        clip_grads_with_norm_(learned, config.clip, norm)


def _gradient(parameter: nn.Parameter) -> Tensor:
    """The gradient; zeros for what the loss does not depend on."""
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    return parameter.grad


def _moved(tensor: Tensor, device: torch.device) -> Tensor:
    """The tensor on the device; from the host through pinned memory, so that the copy need not be waited for."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)
