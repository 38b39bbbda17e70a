"""A network as OpenVINO's two files, .xml and .bin, preprocessing and class names inside, and OpenVINO to run them."""

from pathlib import Path
from typing import Any

import openvino

from verydeep.backends import onnx_graph
from verydeep.deploy.bundle import Bundle
from verydeep.deploy.formats import Float32, Runner, Size

# OpenVINO computes in bfloat16 where a processor has it, unless told otherwise: the logits would be off by 1e-2.
PRECISION = {"INFERENCE_PRECISION_HINT": "f32"}


def write(bundle: Bundle, path: Path, *, size: Size) -> None:
    """Write the model in float32, with `verydeep` (the description), `preprocessing` and `classes` as its rt_info.

    The graph is the ONNX one, read by OpenVINO.

    Raises:
        ConfigError: as `onnx_graph.build`.
    """
    graph = onnx_graph.build(bundle.network, bundle.weights, size=size)
    model = openvino.Core().read_model(graph.SerializeToString())
    texts = {entry.key: entry.value for entry in graph.metadata_props} | bundle.texts()
    for key, text in texts.items():
        model.set_rt_info(text, key)
    parts = (*graph.graph.input, *graph.graph.initializer, *graph.graph.node)
    _rename(model, known={part.name for part in parts})
    openvino.save_model(model, path, compress_to_fp16=False)


def _rename(model: openvino.Model, *, known: set[str]) -> None:
    """Number what OpenVINO has added by its place: it counts all that this process ever made, so no two files agree."""
    for number, operation in enumerate(model.get_ordered_ops()):
        if operation.get_friendly_name() not in known:
            operation.set_friendly_name(f"{operation.get_type_name()}.{number}")


def runner(path: Path) -> Runner:
    """Logits by OpenVINO on the CPU, in float32 unless the model is quantised."""
    model: Any = openvino.Core().compile_model(path, "CPU", PRECISION)

    def run(images: Float32) -> Any:
        return model(images)[onnx_graph.OUTPUT]

    return run
