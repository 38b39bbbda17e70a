"""PyTorch on the CPU three ways: as it is, with channels last in memory, and compiled with frozen weights."""

import importlib
from typing import Any

import torch
from torch import Tensor, nn

from verydeep.backends import pytorch
from verydeep.backends.catalog import Layout
from verydeep.benchmark.engines.task import Task
from verydeep.benchmark.ready import Ready

DTYPES = {"float32": torch.float32, "bf16": torch.bfloat16, "float64": torch.float64}
LAST = torch.channels_last


def eager(task: Task) -> Ready:
    """As `model.eval()` computes; in bf16 weights and maps are bfloat16."""
    return _ready(task, _model(task, layout="channels_first"), layout="channels_first")


def channels_last(task: Task) -> Ready:
    """The same with maps and kernels in the order that oneDNN prefers."""
    return _ready(task, _model(task, layout="channels_last"), layout="channels_last")


def compiled(task: Task) -> Ready:
    """By torch.compile, which with frozen weights lays them out as its kernels want them."""
    config: Any = importlib.import_module("torch._inductor.config")
    config.freezing = True
    model = torch.compile(_model(task, layout="channels_last"))
    return _ready(task, model, layout="channels_last")


def reference(task: Task) -> Ready:
    """In float64: what all others are held to."""
    return _ready(task, _model(task, layout="channels_first"), layout="channels_first", answer=torch.float64)


def _model(task: Task, *, layout: Layout) -> nn.Module:
    torch.set_num_threads(task.threads)
    return pytorch.build(task.network, task.weights, layout=layout).to(DTYPES[task.precision]).eval()


def _ready(task: Task, model: Any, *, layout: Layout, answer: torch.dtype = torch.float32) -> Ready:
    images, dtype = torch.from_numpy(task.images), DTYPES[task.precision]

    def call() -> Any:
        with torch.inference_mode():
            given: Tensor = images.to(dtype)
            if layout == "channels_last":
                given = given.contiguous(memory_format=LAST)
            return model(given).to(answer).numpy()

    return Ready(call, {"version": torch.__version__})
