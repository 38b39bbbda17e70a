"""A network as one ONNX file, preprocessing and class names inside, and onnxruntime to run it."""

from pathlib import Path
from typing import Any

import onnxruntime
from onnx import helper

from verydeep.backends import onnx_graph
from verydeep.deploy.bundle import Bundle
from verydeep.deploy.formats import Float32, Runner, Size
from verydeep.durable import write_synced


def write(bundle: Bundle, path: Path, *, size: Size) -> None:
    """Write the model and its metadata: `verydeep` (the description), `preprocessing` and `classes`, all JSON.

    Raises:
        ConfigError: as `onnx_graph.build`.
    """
    model = onnx_graph.build(bundle.network, bundle.weights, size=size)
    texts = {entry.key: entry.value for entry in model.metadata_props}
    helper.set_model_props(model, texts | bundle.texts())
    write_synced(path, [model.SerializeToString()])


def runner(path: Path) -> Runner:
    """Logits by onnxruntime on the CPU, with as many threads as it likes."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = onnx_graph.ERRORS_ONLY
    # Its threads would wait at full speed for the next call, and slow down whatever else is timed.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session: Any = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def run(images: Float32) -> Any:
        return session.run([onnx_graph.OUTPUT], {onnx_graph.INPUT: images})[0]

    return run
