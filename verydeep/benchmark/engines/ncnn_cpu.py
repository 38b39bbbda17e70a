"""ncnn on the CPU, given the network in its own format, written here; images one by one, because it has no batches."""

from importlib import import_module
from typing import Any

import numpy as np

from verydeep.benchmark.engines import ncnn_format
from verydeep.benchmark.engines.task import Task
from verydeep.benchmark.ready import Ready

ncnn: Any = import_module("ncnn")  # few have it, and it has no types


def load(task: Task) -> Ready:
    """A net in float32, or with bfloat16 storage, which computes in float32."""
    net: Any = ncnn.Net()
    net.opt.num_threads = task.threads
    net.opt.use_vulkan_compute = False
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    net.opt.use_bf16_storage = task.precision == "bf16"
    description, weights = task.folder / "model.param", task.folder / "model.bin"
    ncnn_format.write(task.network, task.weights, description=description, weights_file=weights)
    # It keeps no copy of what it maps, and tells of failure by a number.
    if net.load_param(str(description)) or net.load_model(str(weights)):
        raise ValueError("ncnn does not read the network that was written for it")
    images = task.images

    def call() -> Any:
        return np.stack([_one(net, image) for image in images])

    return Ready(call, {"version": ncnn.__version__})


def _one(net: Any, image: Any) -> Any:
    """The logits of one image (c, h, w)."""
    extractor = net.create_extractor()
    extractor.input(ncnn_format.INPUT, ncnn.Mat(image))
    code, logits = extractor.extract(ncnn_format.OUTPUT)
    if code:
        raise ValueError(f"ncnn gave up with code {code}")
    return np.array(logits)
