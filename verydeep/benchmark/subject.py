"""What is measured: a network by its name with weights drawn by a seed, or a trained one with its own."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy.typing as npt

from verydeep.families.catalog import network as by_name
from verydeep.run import Run, open_run
from verydeep.spec import Network
from verydeep.weights import canonical
from verydeep.weights.initial import initial

Subject = Network | Run | str | Path


def subject(of: Subject, *, seed: int) -> tuple[Network, Mapping[str, npt.NDArray[Any]]]:
    """The network and its weights.

    Args:
        of: A network or its name, which gets initial weights; a run, its folder, or a model's file.
        seed: Of the initial weights.

    Raises:
        ConfigError: no network has this name, or no finished run is there.
        WeightsError: the model is damaged.
    """
    if isinstance(of, Run):
        return of.network, of.weights
    if isinstance(of, Network):
        return of, initial(of, seed=seed)
    place = Path(of)
    if place.suffix == ".safetensors":
        model = canonical.load(place)
        return model.network, model.weights
    if isinstance(of, Path) or place.is_dir():
        return subject(open_run(place), seed=seed)
    return subject(by_name(of), seed=seed)
