"""Our own engine on the CPU; says which layers fell back to PyTorch."""

from typing import Any

import torch

from verydeep.benchmark.engines.task import Task
from verydeep.benchmark.ready import Ready
from verydeep.engine.calibrate import calibrate
from verydeep.engine.engine import Engine
from verydeep.record.machine import version


def load(task: Task) -> Ready:
    """The network with its weights packed for the kernels of this processor."""
    torch.set_num_threads(task.threads)
    precision: Any = task.precision
    ranges = calibrate(task.network, task.weights, task.calibration()) if precision == "int8" else None
    engine = Engine(task.network, task.weights, precision=precision, ranges=ranges, threads=task.threads)
    images = task.images
    fallbacks = [str(step) for step in engine.describe(images.shape) if step.kernel == "pytorch"]
    return Ready(lambda: engine(images), {"version": version("verydeep"), "runs": engine.name, "fallbacks": fallbacks})
