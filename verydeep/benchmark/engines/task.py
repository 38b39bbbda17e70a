"""What every engine gets: a network, its weights, the images, and how it shall compute."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from verydeep.benchmark.form import form_for, weights_for
from verydeep.spec import Network
from verydeep.weights import canonical

Float32 = npt.NDArray[np.float32]
CALIBRATION = 32  # images on which the ranges of int8 are measured


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """One network on one batch of images."""

    network: Network
    weights: Mapping[str, npt.NDArray[Any]]  # canonical names
    images: Float32  # (n, c, h, w), those of the network's input
    precision: str
    threads: int
    folder: Path  # for files of its own
    seed: int

    def calibration(self) -> Float32:
        """Other images of the same kind, for engines that compute in int8."""
        return noise((CALIBRATION, *self.network.input), seed=self.seed + 1)


def task_of(job: Mapping[str, Any]) -> Task:
    """The task that a job, which is JSON, describes."""
    model, size = canonical.load(Path(job["model"])), (job["size"][0], job["size"][1])
    network = form_for(model.network, size)
    return Task(
        network=network,
        weights=weights_for(model.network, model.weights, size=size),
        images=noise((job["batch"], *network.input), seed=job["seed"]),
        precision=job["precision"],
        threads=job["threads"],
        folder=Path(job["folder"]),
        seed=job["seed"],
    )


def noise(shape: tuple[int, ...], *, seed: int) -> Float32:
    """Images as networks see them after preprocessing: mean 0, deviation 1."""
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)
