"""OpenVINO on the CPU, given the network as ONNX; int8 by NNCF."""

from typing import Any

import openvino

from verydeep.backends import onnx_graph
from verydeep.benchmark.engines.task import Task
from verydeep.benchmark.ready import Ready

HINTS = {"float32": "f32", "bf16": "bf16", "int8": "f32"}  # int8: of what is not quantised


def load(task: Task) -> Ready:
    """A model compiled for the least time of one call, of the batch's fixed shape."""
    core = openvino.Core()
    model = core.read_model(onnx_graph.build(task.network, task.weights, size="fixed").SerializeToString())
    if task.precision == "int8":
        from verydeep.deploy import openvino_int8  # loads NNCF, which takes seconds

        source = task.folder / "model.xml"
        openvino.save_model(model, source, compress_to_fp16=False)
        model = core.read_model(openvino_int8.quantise(source, images=task.calibration()))
    model.reshape({onnx_graph.INPUT: list(task.images.shape)})
    options = {
        "INFERENCE_PRECISION_HINT": HINTS[task.precision],
        "INFERENCE_NUM_THREADS": task.threads,
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": "1",
    }
    compiled: Any = core.compile_model(model, "CPU", options)
    images = task.images

    def call() -> Any:
        return compiled(images)[onnx_graph.OUTPUT]

    return Ready(call, {"version": openvino.__version__.partition("-")[0]})
