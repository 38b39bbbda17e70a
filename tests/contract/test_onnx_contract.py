"""ONNX keeps the contract of backends in onnxruntime, its graphs are the same in ONNX's own evaluator, and mistakes
that are easy to make in ONNX are noticed.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnxruntime")
import onnx
from onnx import NodeProto
from onnx.reference import ReferenceEvaluator

from verydeep.backends import onnx_graph, onnx_nodes
from verydeep.backends.check import TOLERANCE, check_backend, check_network, narrow, sample_weights
from verydeep.backends.odd_networks import ODD_NETWORKS
from verydeep.errors import VerificationError
from verydeep.families.catalog import CATALOG
from verydeep.spec import Network, walk

ODD = {odd.name: odd for odd in ODD_NETWORKS}
SMALL = [*ODD_NETWORKS, *(narrow(name, CATALOG[name]) for name in ("lenet5", "vgg11_lrn", "resnet20_cifar", "nin"))]


def test_onnx_agrees_with_the_reference_on_every_network():
    agreements = check_backend(onnx_graph)
    checked = {(agreement.network, agreement.mode) for agreement in agreements}
    assert checked == {(name, mode) for name in (*CATALOG, *ODD) for mode in ("train", "eval")}
    assert all(0 < agreement.error <= TOLERANCE for agreement in agreements)


@pytest.mark.parametrize("network", SMALL, ids=lambda network: network.name)
def test_the_evaluator_of_onnx_computes_the_same(network: Network):
    model = onnx_graph.build(network, sample_weights(network))
    names = [step.layer.name for step in walk(network)]
    onnx.checker.check_model(model, full_check=True)
    for count in (1, 3):
        images = np.random.default_rng(count).standard_normal((count, *network.input)).astype(np.float32)
        found = onnx_graph.run(model, images, mode="eval", taps=names)
        theirs = ReferenceEvaluator(onnx_graph.with_outputs(model, names)).run(None, {"images": images})
        for name, output in zip(names, theirs, strict=True):
            assert np.abs(found[name] - output).max() <= TOLERANCE * np.abs(output).max(), name


def changed(operator: str, **attributes: Any) -> Callable[..., NodeProto]:
    """`onnx_nodes._node` with other attributes for one operator; a function makes the new value from the old one."""
    original = onnx_nodes._node

    def node(kind: str, inputs: Any, output: str, **given: Any) -> NodeProto:
        if kind == operator:
            given |= {
                name: value(given[name]) if callable(value) else value
                for name, value in attributes.items()
                if name in given
            }
        return original(kind, inputs, output, **given)

    return node


def replaced(operator: str, other: str) -> Callable[..., NodeProto]:
    original = onnx_nodes._node
    return lambda kind, inputs, output, **given: original(other if kind == operator else kind, inputs, output, **given)


def constants(suffix: str, change: Callable[[Any], Any]) -> Callable[..., NodeProto]:
    """`onnx_nodes._constant` with another value for every constant whose name ends so."""
    original = onnx_nodes._constant
    return lambda name, value: original(name, change(value).astype(value.dtype) if name.endswith(suffix) else value)


def last_first(sides: tuple[int, ...]) -> tuple[int, ...]:
    return (*sides[2:], *sides[:2])


MISTAKES: dict[str, tuple[str, Any, Network]] = {
    "mean pools count their padding": ("_node", changed("AveragePool", count_include_pad=1), ODD["padded_mean"]),
    "ends are padded as beginnings": ("_node", changed("Conv", pads=last_first), ODD["uneven_convolution"]),
    "LRN's alpha is divided by its size": (
        "_constant",
        constants(".alpha", lambda value: value / 3),
        ODD["strong_lrn"],
    ),
    "LRN has fewer neighbours at the border": (
        "_node",
        lambda kind, inputs, output, original=onnx_nodes._node, **given: original(
            kind, inputs, output, **(given | ({"count_include_pad": 0} if kind == "AveragePool" else {}))
        ),
        ODD["strong_lrn"],
    ),
    "batch norm has an epsilon of 1e-3": (
        "_node",
        changed("BatchNormalization", epsilon=1e-3),
        ODD["normalised_vector"],
    ),
    "momentum has the other sense": (
        "_constant",
        constants(".momentum", lambda value: 1 - value),
        ODD["normalised_vector"],
    ),
    "the running variance is biased": (
        "_constant",
        constants(".one", lambda value: 0 * value),
        ODD["normalised_vector"],
    ),
    "tanh is a ReLU": ("_node", replaced("Tanh", "Relu"), ODD["grouped_convolution"]),
    "a whole maximum is a mean": (
        "_node",
        replaced("GlobalMaxPool", "GlobalAveragePool"),
        ODD["whole_maximum"],
    ),
    "new channels all come at the end": (
        "_constant",
        constants(".pads", lambda value: np.array([0, 0, 0, 0, 0, value.sum(), 0, 0])),
        ODD["uneven_channels"],
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_graph_with_one_mistake_is_refused(monkeypatch: pytest.MonkeyPatch, mistake: str):
    function, broken, network = MISTAKES[mistake]
    check_network(onnx_graph, network)
    monkeypatch.setattr(onnx_nodes, function, broken)
    with pytest.raises(VerificationError):
        check_network(onnx_graph, network)
