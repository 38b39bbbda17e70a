"""One optimiser step: gradients of a batch in pieces, a check that they are finite, then the update."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim import Optimizer

from verydeep.data.batches import Batch
from verydeep.errors import NumericalError
from verydeep.processes import Processes
from verydeep.settings.config import Config
from verydeep.training.optimizer import set_rate


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a step saw, over the images of all processes."""

    loss_sum: float  # cross-entropy in nats without smoothing, summed over the images: comparable with validation
    correct: int
    images: int
    stop: bool  # some process has been asked to stop


def take_step(
    model: nn.Module,
    batch: Batch,
    optimizer: Optimizer,
    *,
    config: Config,
    processes: Processes,
    step: int,
    rate: float,
    stop: bool,
) -> Outcome:
    """Change the model's weights by the gradient of the mean loss of `batch`.

    Args:
        model: In train mode; wrapped for several processes.
        batch: This process's share; `batch.total` counts the images of all.
        optimizer: Over the model's parameters.
        config: Label smoothing, clipping, pieces, precision.
        processes: All of them average their gradients.
        step: The number of this step: dropout depends on it and on the seed, and on nothing that came before.
        rate: The learning rate.
        stop: Whether this process wants the run to end.

    Raises:
        NumericalError: a gradient is not finite; the weights are as before.
    """
    reseed(processes.device, stream(config.seed, step, processes.rank))
    set_rate(optimizer, rate)
    optimizer.zero_grad(set_to_none=True)
    sums = torch.zeros(3, dtype=torch.float64)
    parts = pieces(len(batch.indices), config.accumulate)
    for number, piece in enumerate(parts):
        images = batch.images[piece].to(processes.device, non_blocking=True)
        labels = batch.labels[piece].to(processes.device, non_blocking=True)
        if config.layout == "channels_last":
            images = images.contiguous(memory_format=torch.channels_last)
        with _gradients_of_last_piece_only(model, last=number == len(parts) - 1):
            loss, plain, correct = losses(model, images, labels, config=config, device=processes.device.type)
            # Processes average their gradients: a sum over all images, divided by their number, needs `world` back.
            (loss * (processes.world / batch.total)).backward()
        sums[:2] += torch.stack((plain, correct.to(plain.dtype))).cpu()  # the one wait for the device in a piece
    sums[2] = float(stop)
    loss_sum, correct_sum, stops = processes.total(sums).tolist()
    _check_and_clip(model, optimizer, config=config, step=step, loss=loss_sum / batch.total, batch=batch)
    optimizer.step()
    return Outcome(loss_sum, int(correct_sum), batch.total, stop=stops > 0)


def losses(
    model: nn.Module, images: Tensor, labels: Tensor, *, config: Config, device: str
) -> tuple[Tensor, Tensor, Tensor]:
    """The loss to be lowered, the cross-entropy without smoothing, and the right answers, each summed over images."""
    with torch.autocast(device, dtype=torch.bfloat16, enabled=config.precision == "bf16"):
        logits = model(images)
    logits = logits.float()
    plain = functional.cross_entropy(logits, labels, reduction="sum")
    loss = plain
    if config.smoothing:
        loss = functional.cross_entropy(logits, labels, reduction="sum", label_smoothing=config.smoothing)
    return loss, plain.detach(), (logits.argmax(1) == labels).sum()


def _check_and_clip(
    model: nn.Module, optimizer: Optimizer, *, config: Config, step: int, loss: float, batch: Batch
) -> None:
    learned = [one for group in optimizer.param_groups for one in group["params"] if one.grad is not None]
    norm = get_total_norm([parameter.grad for parameter in learned])
    if not (torch.isfinite(norm) and np.isfinite(loss)):
        named = model.named_parameters()
        wrong = next((name for name, p in named if p.grad is not None and not p.grad.isfinite().all()), "the loss")
        raise not_finite(wrong, step=step, loss=loss, indices=batch.indices)
    if config.clip:
        clip_grads_with_norm_(learned, config.clip, norm)


def not_finite(wrong: str, *, step: int, loss: float, indices: NDArray[np.int64] | Tensor) -> NumericalError:
    """The error for a gradient or a loss; `wrong` is a parameter's name in the model that the loop calls."""
    name = wrong.removeprefix("module.").removeprefix("_orig_mod.")
    images = ", ".join(map(str, indices[:5].tolist()))
    return NumericalError(
        f"step {step + 1}: {name} is not finite (loss {loss:g}; images {images}, ...)",
        code="TRAIN-NONFINITE",
        hint="The weights are as they were before this step. Lower --lr, use --clip 1, or --precision float32.",
    )


def pieces(images: int, accumulate: int) -> list[slice]:
    """Near-equal pieces of at least two images, because batch norm cannot use one."""
    count = max(1, min(accumulate, images // 2))
    edges = [images * number // count for number in range(count + 1)]
    return [slice(edges[number], edges[number + 1]) for number in range(count)]


def _gradients_of_last_piece_only(model: nn.Module, *, last: bool) -> AbstractContextManager[None]:
    """Processes exchange gradients once a step, with the last piece."""
    if isinstance(model, DistributedDataParallel) and not last:
        return model.no_sync()
    return nullcontext()


def reseed(device: torch.device, number: int) -> None:
    """Begin the random numbers of this device alone: `torch.manual_seed` looks for devices of every kind, each time."""
    if device.type == "cuda":
        torch.cuda.manual_seed(number)
    else:
        torch.default_generator.manual_seed(number)


def stream(seed: int, step: int, rank: int) -> int:
    """The seed of what PyTorch draws in one step, as dropout does."""
    return int(np.random.SeedSequence([seed, step, rank]).generate_state(1, np.uint64)[0])
