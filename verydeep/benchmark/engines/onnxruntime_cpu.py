"""onnxruntime on the CPU, given the network as ONNX; int8 by its own static quantisation."""

from typing import Any

import onnxruntime

from verydeep.backends import onnx_graph
from verydeep.benchmark.engines.task import Task
from verydeep.benchmark.ready import Ready
from verydeep.durable import write_synced


def load(task: Task) -> Ready:
    """A session; its threads wait at full speed within a call, as it likes best, and sleep as soon as it ends."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = onnx_graph.ERRORS_ONLY
    options.intra_op_num_threads = task.threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.force_spinning_stop", "1")
    graph: Any = onnx_graph.build(task.network, task.weights, size="fixed").SerializeToString()
    if task.precision == "int8":
        from verydeep.deploy import onnx_int8  # loads what quantises, which float32 does not need

        path = task.folder / "model.onnx"
        write_synced(path, [graph])
        graph = str(onnx_int8.quantise(path, images=task.calibration()))
    session: Any = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    images = task.images

    def call() -> Any:
        return session.run([onnx_graph.OUTPUT], {onnx_graph.INPUT: images})[0]

    return Ready(call, {"version": onnxruntime.__version__})
