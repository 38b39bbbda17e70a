"""An ONNX model in 8-bit integers, by onnxruntime's static quantisation (QDQ form, one scale for each channel)."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import onnx
from onnx import GraphProto, NodeProto, helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from verydeep.backends.onnx_graph import INPUT, OUTPUT
from verydeep.deploy.formats import Float32

BATCH = 16  # images whose activations are in memory at once


class Images(CalibrationDataReader):
    """Images in batches, as onnxruntime asks for them."""

    def __init__(self, images: Float32) -> None:
        self.batches: Iterator[Float32] = (images[start : start + BATCH] for start in range(0, len(images), BATCH))

    def get_next(self) -> dict[str, Float32] | None:  # type: ignore[override] - theirs is annotated as dict
        """The next batch, None after the last."""
        batch = next(self.batches, None)
        return None if batch is None else {INPUT: batch}


def quantise(source: Path, *, images: Float32) -> Path:
    """Write `source` in int8 under its name in the new folder ``int8`` beside it; the path of that file.

    The range of each tensor is from the smallest to the largest number in it that `images` (n, c, h, w) give.
    """
    path, folded = source.parent / "int8" / source.name, source.with_name("folded.onnx")
    path.parent.mkdir()
    quant_pre_process(source, folded, skip_symbolic_shape=True)  # among others: batch norm into the convolutions
    quantize_static(folded, path, Images(images), quant_format=QuantFormat.QDQ, per_channel=True)
    model = onnx.load(path, load_external_data=False)
    _keep_logits(model.graph)
    # Both steps leave marks of their own in the metadata, and lose ours.
    texts = {entry.key: entry.value for entry in onnx.load(source, load_external_data=False).metadata_props}
    helper.set_model_props(model, texts)
    onnx.save(model, path)
    return path


def _keep_logits(graph: GraphProto) -> None:
    """Undo the rounding of the logits themselves: of a thousand classes many would share one of 256 levels."""
    makers = {node.output[0]: node for node in graph.node}
    last = _unrounded(graph, makers, OUTPUT)
    last.output[0] = OUTPUT
    while last.op_type == "Flatten":  # where no Linear follows it, what it reads are the logits too
        before = _unrounded(graph, makers, last.input[0])
        last.input[0] = before.output[0]
        last = before
    used = {name for node in graph.node for name in node.input}
    for place in [place for place in graph.initializer if place.name not in used]:
        graph.initializer.remove(place)


def _unrounded(graph: GraphProto, makers: Mapping[str, NodeProto], name: str) -> NodeProto:
    """The node that made the numbers of a tensor; their rounding, if there was one, is taken out of the graph."""
    restored = makers[name]
    if restored.op_type != "DequantizeLinear":
        return restored
    rounded = makers[restored.input[0]]
    graph.node.remove(rounded)
    graph.node.remove(restored)
    return makers[rounded.input[0]]
