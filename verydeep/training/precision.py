"""Precision "auto": a few steps in float32 and in bf16 before a run begins, and the quicker one for the whole run."""

from collections.abc import Mapping
from dataclasses import replace
from time import monotonic
from typing import Any, Literal

import numpy.typing as npt
import torch

from verydeep.data.batches import Batch
from verydeep.errors import NumericalError
from verydeep.processes import Processes
from verydeep.training.prepare import Prepared
from verydeep.training.shares import shares
from verydeep.training.step import take_step
from verydeep.training.trainee import trainee

STEPS = 3  # timed, after one that warms up
GAIN = 1.1  # by how much bf16 must be quicker: below that its 8 bits are not worth it, and timing cannot tell


def settled(prepared: Prepared, arrays: Mapping[str, npt.NDArray[Any]]) -> Prepared:
    """`prepared` with a precision that is not "auto", so that the record of the run says which one it was.

    Args:
        prepared: Of all processes; the first one tries and decides for all.
        arrays: The first weights, which stay as they are.

    Raises:
        NumericalError: the first steps are not finite.
    """
    if prepared.config.precision != "auto":
        return prepared
    chosen = prepared.processes.on_first(lambda: _quicker(prepared, arrays))
    return replace(prepared, config=prepared.config.updated(precision=chosen))


def _quicker(prepared: Prepared, arrays: Mapping[str, npt.NDArray[Any]]) -> Literal["float32", "bf16"]:
    with shares(prepared, epoch=0) as own:
        batch = next(own)
    float32 = _seconds(prepared, arrays, batch, precision="float32")
    try:
        bf16 = _seconds(prepared, arrays, batch, precision="bf16")
    except NumericalError:  # too few bits for these weights
        return "float32"
    return "bf16" if float32 > GAIN * bf16 else "float32"


def _seconds(prepared: Prepared, arrays: Mapping[str, npt.NDArray[Any]], batch: Batch, *, precision: str) -> float:
    """Of the quickest step of a fresh network; a learning rate of almost nothing keeps it finite."""
    config = prepared.config.updated(precision=precision, compile="off")
    alone = Processes(prepared.processes.device)
    learner = trainee(prepared.network, dict(arrays), config, alone)
    learner.model.train()
    found: list[float] = []
    for number in range(1 + STEPS):
        began = monotonic()
        take_step(
            learner.called,
            batch,
            learner.optimizer,
            config=config,
            processes=alone,
            step=number,
            rate=1e-9,
            stop=False,
        )
        if alone.device.type == "cuda":
            torch.cuda.synchronize(alone.device)
        found.append(monotonic() - began)
    return min(found[1:])
