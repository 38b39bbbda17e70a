"""What takes a training step, in a process of its own: our loop as it is, or what a careful user writes in PyTorch.

Both learn from the same noise in memory, so no disk and no decoder is measured. Ours is the whole loop: order,
augmentation, preprocessing, steps, checks, metrics. The plain one takes uint8 images by a random order, normalises them
and takes a step; it augments nothing and checks nothing.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import SGD, AdamW, Optimizer

from verydeep.backends import pytorch
from verydeep.benchmark.ready import Ready
from verydeep.data.catalog import DATASETS, Dataset
from verydeep.data.split import MemorySplit
from verydeep.processes import joined
from verydeep.settings.config import Config, checked
from verydeep.training.display import Silent
from verydeep.training.loop import run_epochs
from verydeep.training.prepare import Prepared, first_weights, prepare
from verydeep.training.progress import Progress
from verydeep.training.signals import Stop
from verydeep.training.trainee import trainee

NOISE = "noise"  # what the data set is called while this process lives
MINUTES = 1e6  # between two checkpoints: none is due while it is measured


class Nowhere:
    """A keeper that keeps nothing."""

    def save(self) -> None:
        """See `verydeep.training.loop.Keeper`."""

    def rows(self) -> None:
        """See `verydeep.training.loop.Keeper`."""


def ours(job: Mapping[str, Any]) -> Ready:
    """Our loop: each call is an epoch of a few steps, on weights that go on to change."""
    torch.set_num_threads(job["threads"])
    prepared = prepared_for(job)
    with joined("cpu") as processes:
        learner = trainee(
            prepared.network, first_weights(prepared.config, prepared.network), prepared.config, processes
        )

    def call() -> Any:
        progress = Progress()
        run_epochs(learner, progress, prepared, display=Silent(), stop=Stop(), keep=Nowhere())
        return np.array(progress.history[-1]["train_loss"])

    return Ready(call, _about(prepared))


def plain(job: Mapping[str, Any]) -> Ready:
    """A loop in plain PyTorch over as many steps: same network, optimiser, batch and precision; `job["layout"]`."""
    torch.set_num_threads(job["threads"])
    prepared = prepared_for(job)
    config, network = prepared.config, prepared.network
    layout: Literal["channels_first", "channels_last"] = job["layout"]
    model = pytorch.build(network, first_weights(config, network), layout=layout).train()
    optimizer = _optimizer(model, config)
    split = _noise((len(prepared.train), *network.input), classes=network.classes, seed=config.seed)
    images, labels = torch.from_numpy(split.images), torch.from_numpy(split.labels)

    def call() -> Any:
        total = 0.0
        for index in torch.randperm(len(images)).split(config.batch):
            x = (images[index].float() - 127.5) / 64
            if layout == "channels_last":
                x = x.contiguous(memory_format=torch.channels_last)
            total += _step(model, x, labels[index], optimizer, config=config)
        return np.array(total / len(images))

    return Ready(call, _about(prepared))


def prepared_for(job: Mapping[str, Any]) -> Prepared:
    """What a run with the job's settings would train on, were its images noise.

    The rate is low, so that a network which is measured for minutes does not diverge.
    """
    config, steps = checked(job["config"]), job["steps"]
    shape: tuple[int, int, int] = tuple(job["shape"])
    whole = _noise((steps * config.batch, *shape), classes=job["classes"], seed=config.seed)

    def load(*, split: str, root: Path, download: bool) -> MemorySplit:
        del root, download
        return replace(whole, name=f"{NOISE} {split}")

    DATASETS[NOISE] = Dataset(NOISE, "Noise", load, job["classes"], shape, "drawn here")
    config = config.updated(
        data=NOISE, val=0.0, epochs=1, lr=1e-4, device="cpu", checkpoint_minutes=MINUTES, checkpoint_every=0, workers=0
    )
    with joined("cpu") as processes:
        return prepare(config, processes)


def _noise(shape: tuple[int, ...], *, classes: int, seed: int) -> MemorySplit:
    stream = np.random.default_rng(seed)
    images = stream.integers(0, 256, shape, np.uint8)
    return MemorySplit(NOISE, tuple(map(str, range(classes))), np.arange(len(images)) % classes, images)


def _optimizer(model: nn.Module, config: Config) -> Optimizer:
    if config.optimizer == "adamw":
        return AdamW(model.parameters(), lr=config.lr, weight_decay=config.weight_decay, fused=True)
    return SGD(
        model.parameters(),
        lr=config.lr,
        momentum=config.momentum,
        weight_decay=config.weight_decay,
        nesterov=config.nesterov and config.momentum > 0,
        fused=True,
    )


def _step(model: nn.Module, x: Tensor, y: Tensor, optimizer: Optimizer, *, config: Config) -> float:
    """One step of the book's; the loss in nats, summed over the images."""
    optimizer.zero_grad()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=config.precision == "bf16"):
        loss = functional.cross_entropy(model(x), y, label_smoothing=config.smoothing)
    loss.backward()
    optimizer.step()
    return loss.item() * len(x)


def _about(prepared: Prepared) -> dict[str, Any]:
    return {"version": torch.__version__, "network": prepared.network.name, "input": list(prepared.network.input)}
