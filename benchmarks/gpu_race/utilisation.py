"""How much of a card's matrix rate the training of VGG-16 keeps busy: both measured in one run."""

from dataclasses import asdict, dataclass
from time import perf_counter
from typing import Any

import numpy as np
import torch

from verydeep.data.batches import Batch
from verydeep.families.catalog import network
from verydeep.processes import Processes
from verydeep.report.table import summary
from verydeep.settings.config import Config
from verydeep.training.kernels import choose_kernels
from verydeep.training.queue import Queue, queue_step
from verydeep.training.trainee import trainee
from verydeep.weights.initial import initial

LAST = torch.channels_last
FORWARDS = 3  # a step costs as much as three forward passes: one forward, two for both gradients
REPEATS = 5  # of each measurement; the median counts


@dataclass(frozen=True, slots=True)
class Load:
    """How large the measured work is; a rehearsal takes less."""

    width: float = 1.0
    size: int = 224
    batch: int = 256
    steps: int = 20
    side: int = 8192  # of the matrices


def matrix_rate(device: torch.device, *, side: int) -> float:
    """FLOP/s of a product of two square bf16 matrices of random numbers."""
    a, b = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    return 2 * side**3 / _seconds(lambda: a @ b, device, calls=10)


def utilisation(config: Config, *, device: torch.device, load: Load) -> dict[str, Any]:
    """Images a second of our queued step on net D with random images on the device, and their share of the rate."""
    choose_kernels(config)
    processes, rate = Processes(device), matrix_rate(device, side=load.side)
    net = network("D", input=(3, load.size, load.size), classes=1000, width=load.width)
    learner = trainee(net, initial(net), config, processes)
    learner.model.train()
    stream = torch.Generator().manual_seed(0)
    batch = Batch(
        images=torch.randn(load.batch, 3, load.size, load.size, generator=stream).to(device, memory_format=LAST),
        labels=torch.randint(1000, (load.batch,), generator=stream).to(device),
        indices=np.arange(load.batch),
        total=load.batch,
    )
    queue, number = learner.queue or Queue(device), 0

    def step() -> None:
        nonlocal number
        queue_step(
            learner.called,
            batch,
            learner.optimizer,
            queue,
            config=config,
            processes=processes,
            step=number,
            rate=1e-6,
        )
        number += 1
        if queue.is_full:
            queue.read(learner.called)

    seconds = _seconds(step, device, calls=load.steps)
    flops = FORWARDS * 2 * summary(net).macs * load.batch / seconds
    return {
        "load": asdict(load),
        "network": net.name,
        "matrix_flops": rate,
        "images_per_second": load.batch / seconds,
        "training_flops": flops,
        "utilisation": flops / rate,
        "settings": config.model_dump(mode="json", include={"precision", "layout", "compile", "algorithms"}),
    }


def _seconds(work: Any, device: torch.device, *, calls: int) -> float:
    """Median seconds of a call, of REPEATS measurements over many calls each, after as many to warm up."""
    found: list[float] = []
    for _ in range(REPEATS + 1):
        _wait(device)
        began = perf_counter()
        for _ in range(calls):
            work()
        _wait(device)
        found.append((perf_counter() - began) / calls)
    return float(np.median(found[1:]))


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()
