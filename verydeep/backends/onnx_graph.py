"""A network as an ordinary ONNX model, its graph written directly: nodes and tensors have the spec's names.

The one input is `images` (n, c, h, w) with a free batch. The output is `logits` whatever the last layer is called, so
that one program can serve every network; the last layer's own tensor stands before it under its name, as all do.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import onnxruntime
from onnx import ModelProto, TensorProto, ValueInfoProto, helper, numpy_helper

from verydeep import spec_json
from verydeep.backends import refusals
from verydeep.backends.numpy_reference import Mode
from verydeep.backends.onnx_nodes import OPSET, RUNNING, after_batch, sequence
from verydeep.errors import ConfigError, WeightsError
from verydeep.rewrite.cut import resize
from verydeep.spec import BatchNorm, Flatten, Linear, Network, Shape, walk
from verydeep.weights import fit

Array = npt.NDArray[Any]
Size = Literal["fixed", "free"]

INPUT, OUTPUT = "images", "logits"
KEY = "verydeep"  # of the description in the model's metadata
LARGEST = 2**31 - 2**24  # bytes of weights: a protobuf message, as one ONNX file is, ends at 2**31
ERRORS_ONLY = 3  # onnxruntime's log level; it warns of weights that taps near the input leave unused


def build(network: Network, arrays: Mapping[str, Array], *, size: Size | None = None) -> ModelProto:
    """`network` with the weights `arrays` (canonical names) as a model for inference; its metadata describe it.

    Args:
        network: What to build.
        arrays: One array for every name in ``spec.weights(network)``.
        size: "fixed" takes images of the network's own size only, "free" of any size; None is "free" where the
            network has no Flatten and no Linear, as the dense form.

    Raises:
        WeightsError: names or shapes of `arrays` are not those of the network.
        ConfigError: the weights are more than an ONNX file can hold, a layer is called as the model's input or output
            is, or a network that needs one size shall take any.
    """
    fit.refuse_misfit(fit.shapes(network), arrays, of=network.name)
    _refuse_names(network)
    _refuse_large(network)
    _refuse_one_size(network, size)
    return _model(network, arrays, size=size or _freest(network), mode="eval", seed=0)


def set_weights(model: ModelProto, arrays: Mapping[str, Array]) -> None:
    """Put `arrays` into the model, all or nothing.

    Raises:
        ConfigError: the model is not what `build` gave.
        WeightsError: a name is missing or unknown, or a shape differs; the model is unchanged.
    """
    network = network_of(model)
    places = _places(model)
    fit.refuse_misfit(fit.shapes(network), arrays, of=network.name)
    for name, place in places.items():
        place.CopyFrom(_tensor(name, arrays[name]))


def get_weights(model: ModelProto) -> dict[str, Array]:
    """Copies of all weights by canonical name, OIHW.

    Raises:
        ConfigError: the model is not what `build` gave.
        WeightsError: it was, but its weights have gone, as in a quantised model, or lie in another file.
    """
    return {name: numpy_helper.to_array(place).copy() for name, place in _places(model).items()}


def network_of(model: ModelProto) -> Network:
    """The description of a model that `build` gave; ConfigError for any other."""
    text = next((entry.value for entry in model.metadata_props if entry.key == KEY), None)
    return refusals.description(model, None if text is None else spec_json.loads(text))


def run(model: ModelProto, images: Array, *, mode: Mode, taps: Iterable[str], seed: int = 0) -> dict[str, Array]:
    """The outputs of the layers named in `taps`, by onnxruntime on the CPU, computed no further than the deepest.

    One thread computes, so that the bits do not depend on how many there are.

    Args:
        model: What `build` gave.
        images: (n, channels, height, width).
        mode: In "train" batch norm uses the batch and updates the running statistics in `model`, and dropout drops.
        taps: Names of layers.
        seed: Of what dropout drops.

    Raises:
        ConfigError: no layer has this name, the model is not what `build` gave, or batch norm shall learn from a
            single number for each channel.
    """
    network = network_of(model)
    wanted = list(refusals.known(network, taps))
    if mode == "eval":
        return _compute(model, images, wanted)
    _refuse_single(network, images)
    arrays = get_weights(model)
    training = _model(network, arrays, size=_freest(network), mode="train", seed=seed)
    statistics = [name for name in arrays if name.endswith(RUNNING)]
    found = _compute(training, images, [*wanted, *map(after_batch, statistics)])
    set_weights(model, arrays | {name: found[after_batch(name)] for name in statistics})
    return {name: found[name] for name in wanted}


def with_outputs(model: ModelProto, names: Iterable[str]) -> ModelProto:
    """A copy of the model that gives the tensors `names` and has no node behind the last of them."""
    outputs = list(names)
    copy = ModelProto()
    copy.CopyFrom(model)
    needed = max((number for number, node in enumerate(model.graph.node) if node.output[0] in outputs), default=-1)
    del copy.graph.node[needed + 1 :]
    del copy.graph.output[:]
    copy.graph.output.extend(ValueInfoProto(name=name) for name in outputs)
    return copy


def _model(network: Network, arrays: Mapping[str, Array], *, size: Size, mode: Mode, seed: int) -> ModelProto:
    steps = walk(network)
    layers = [layer for block in network.blocks for layer in block.layers]
    nodes = list(
        sequence(layers, INPUT, signals={step.layer.name: step.before for step in steps}, mode=mode, seed=seed)
    )
    nodes.append(helper.make_node("Identity", [layers[-1].name], [OUTPUT], name=OUTPUT))
    graph = helper.make_graph(
        nodes,
        network.name,
        [_value(INPUT, network.input, size=("height", "width") if size == "free" else ())],
        [_value(OUTPUT, network.output.shape, size=(None, None) if size == "free" else ())],
        [_tensor(name, arrays[name]) for name in fit.shapes(network)],
        value_info=[
            _value(step.layer.name, step.after.shape, size=(None, None) if size == "free" else ()) for step in steps
        ],
    )
    opset = helper.make_opsetid("", OPSET)
    model = helper.make_model(
        graph,
        opset_imports=[opset],
        ir_version=helper.find_min_ir_version_for([opset]),
        producer_name="verydeep",
    )
    helper.set_model_props(model, {KEY: spec_json.dumps(network)})
    return model


def _value(name: str, shape: Shape, *, size: tuple[str | None, ...]) -> ValueInfoProto:
    """A tensor of a batch; `size` says what stands for height and width where they are free."""
    sizes = [*shape[:1], *size] if size else shape
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *sizes])


def _tensor(name: str, array: Array) -> TensorProto:
    return numpy_helper.from_array(np.asarray(array, np.float32), name)


def _places(model: ModelProto) -> dict[str, TensorProto]:
    """The model's own tensors by canonical name."""
    network = network_of(model)
    expected = fit.shapes(network)
    found = {tensor.name: tensor for tensor in model.graph.initializer if tensor.name in expected}
    absent = [name for name in expected if name not in found]
    outside = [name for name, tensor in found.items() if tensor.data_location == TensorProto.EXTERNAL]
    if absent or outside:
        where = "not in this model" if absent else "in another file, which is not read"
        raise WeightsError(
            f"weights of {network.name} are {where}: {fit.some(absent or outside)}",
            code="ONNX-WEIGHTS",
            hint="Take a model that was exported in floating point and whole.",
        )
    return {name: found[name] for name in expected}


def _compute(model: ModelProto, images: Array, names: list[str]) -> dict[str, Array]:
    if not names:
        return {}
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.use_deterministic_compute = True
    options.log_severity_level = ERRORS_ONLY
    content = with_outputs(model, names).SerializeToString()
    session: Any = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    found = session.run(names, {INPUT: np.asarray(images, np.float32)})
    return dict(zip(names, found, strict=True))


def _freest(network: Network) -> Size:
    return "fixed" if any(isinstance(step.layer, Flatten | Linear) for step in walk(network)) else "free"


def _refuse_names(network: Network) -> None:
    for step in walk(network):
        if step.layer.name in (INPUT, OUTPUT):
            raise ConfigError(
                f"{network.name}: an ONNX model has a use of its own for the name {step.layer.name!r}",
                code="NAME-RESERVED",
                hint="Rename the layer.",
            )


def _refuse_large(network: Network) -> None:
    size = sum(4 * math.prod(shape) for shape in fit.shapes(network).values())
    if size > LARGEST:
        raise ConfigError(
            f"{network.name} has {size / 1e9:.2f} GB of weights, and an ONNX file holds at most {LARGEST / 1e9:.2f} GB",
            code="ONNX-SIZE",
            hint="Make the network narrower, or choose a format without this limit, such as safetensors.",
        )


def _refuse_one_size(network: Network, size: Size | None) -> None:
    if size == "free" and _freest(network) == "fixed":
        raise ConfigError(
            f"{network.name} takes images of one size: it has a Flatten or Linear",
            code="SIZE-FIXED",
            hint="Take its dense form, verydeep.dense.",
        )


def _refuse_single(network: Network, images: Array) -> None:
    for step in walk(resize(network, images.shape[1:])):
        if isinstance(step.layer, BatchNorm) and len(images) * math.prod(step.before.shape[1:]) < 2:
            raise ConfigError(
                f"{step.layer.name} cannot learn the variance of one number for each channel",
                code="BATCH-NORM",
                hint="Give a batch of two images or more.",
            )
