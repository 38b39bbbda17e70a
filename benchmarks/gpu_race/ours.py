"""The recipe `cifar-sprint` through verydeep's own loop, many seeds with one compiled network."""

from collections import defaultdict
from dataclasses import replace
from time import perf_counter

import torch

from verydeep.backends import pytorch
from verydeep.data.augment import Augment
from verydeep.data.batches import plan
from verydeep.data.measure import measure
from verydeep.data.preprocess import normalise
from verydeep.data.split import MemorySplit
from verydeep.preprocessing import Preprocessing
from verydeep.processes import Processes
from verydeep.settings.config import Config
from verydeep.training.display import Silent
from verydeep.training.kernels import choose_kernels
from verydeep.training.lookahead import Lookahead
from verydeep.training.loop import run_epochs
from verydeep.training.prepare import Prepared, Seen, describe, first_arrays
from verydeep.training.progress import Progress
from verydeep.training.queue import Queue
from verydeep.training.signals import Stop
from verydeep.training.trainee import Trainee, trainee


class Unkept:
    """A keeper that keeps nothing: a race writes no checkpoints."""

    def save(self) -> None:
        """See `loop.Keeper`."""

    def rows(self) -> None:
        """See `loop.Keeper`."""


class Ours:
    """Our side of the race."""

    def __init__(self, config: Config, train: MemorySplit, test: MemorySplit, device: torch.device) -> None:
        """Settled once: the network, its preprocessing, the test images on the device."""
        choose_kernels(config)
        processes = Processes(device)
        mean, std = measure(train)
        height, width = train.images.shape[2:]
        self.preprocessing = Preprocessing(3, (height, width), min(height, width), "center", mean, std, "RGB")
        self.prepared = Prepared(
            config=config,
            processes=processes,
            network=describe(config, channels=3, size=(height, width), classes=len(train.classes)),
            preprocessing=self.preprocessing,
            augment=Augment(flip=config.flip, turns=config.turns, pad=config.pad, border=config.border),
            train=train,
            val=None,
            test=None,
            seen=Seen("", len(train), train.classes, (), ()),
            steps=config.epochs * len(plan(len(train), config.batch)),
        )
        self.learner = trainee(self.prepared.network, first_arrays(self.prepared), config, processes)
        self.images = normalise(test.images, self.preprocessing).to(device, memory_format=torch.channels_last)
        self.labels = torch.from_numpy(test.labels).to(device)

    def race(self, seed: int) -> float:
        """Train from first weights; the seconds of the whitening and of all steps, the device's work done."""
        self.prepared = replace(self.prepared, config=self.prepared.config.updated(seed=seed))
        began = perf_counter()
        _begin_anew(self.learner, self.prepared)
        _wait(self.prepared.processes.device)
        first = perf_counter() - began
        progress = Progress()
        run_epochs(self.learner, progress, self.prepared, display=Silent(), stop=Stop(), keep=Unkept())
        return first + sum(float(row["seconds"]) for row in progress.timings)


def _begin_anew(learner: Trainee, prepared: Prepared) -> None:
    """First weights of another seed in the same tensors, which compiled code goes on using."""
    pytorch.set_weights(learner.model, first_arrays(prepared))
    learner.optimizer.state = defaultdict(dict)
    learner.lookahead = Lookahead(pytorch.tensors(learner.model), every=prepared.config.lookahead)
    if learner.queue is not None:
        learner.queue = Queue(prepared.processes.device)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()
