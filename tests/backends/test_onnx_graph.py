"""The ONNX model that is written directly: names, free sizes, pools of every kind, training, and what is refused."""

from itertools import product
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnxruntime")
import onnx
from onnx import ModelProto, TensorProto, helper
from onnx.reference import ReferenceEvaluator

import verydeep as vd
from verydeep.backends import numpy_reference, onnx_graph
from verydeep.backends.check import narrow, sample_weights
from verydeep.errors import ConfigError, WeightsError
from verydeep.families.catalog import CATALOG
from verydeep.spec import BatchNorm, Block, Dropout, Network, Pool, ReLU, conv, walk, weights

NET = vd.vgg(((1, 4), (1, 8)), input=(3, 8, 8), classes=5, fc=(6,), batch_norm=True)
MAPS = Network(
    "maps",
    (2, 9, 7),
    (Block("block1", (conv("conv1", 4, padding=1), BatchNorm("norm1"), ReLU("relu1"), conv("conv2", 3, kernel=1))),),
)


def of(*layers: Any, input: tuple[int, int, int] = (2, 9, 7)) -> Network:
    return Network("few", input, (Block("block1", layers),))


def images(count: int, shape: tuple[int, ...], seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).standard_normal((count, *shape)).astype(np.float32)


def built(network: Network, **options: Any) -> ModelProto:
    return onnx_graph.build(network, sample_weights(network), **options)


def test_nodes_tensors_and_weights_have_the_names_of_the_description():
    model = built(NET)
    layers = [step.layer.name for step in walk(NET)]
    computed = [node for node in model.graph.node if node.op_type != "Constant"]
    assert [node.name for node in computed] == [*layers, "logits"]
    assert [node.output[0] for node in computed] == [*layers, "logits"]
    assert [tensor.name for tensor in model.graph.initializer] == list(weights(NET))
    assert [place.name for place in (*model.graph.input, *model.graph.output)] == ["images", "logits"]


def test_the_model_is_one_that_releases_of_years_read():
    model = built(NET)
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 14)]
    assert model.ir_version == 7
    onnx.checker.check_model(model, full_check=True)


def test_the_batch_is_free_and_the_size_is_where_nothing_needs_it():
    def input_of(model: ModelProto) -> list[int | str]:
        return [axis.dim_param or axis.dim_value for axis in model.graph.input[0].type.tensor_type.shape.dim]

    assert input_of(built(NET)) == ["batch", 3, 8, 8]
    assert input_of(built(MAPS)) == ["batch", 2, "height", "width"]
    assert input_of(built(MAPS, size="fixed")) == ["batch", 2, 9, 7]


def test_a_dense_form_takes_images_of_any_size():
    network = vd.dense(NET)
    model = onnx_graph.build(network, vd.dense_weights(NET, sample_weights(NET)))
    for shape in ((3, 8, 8), (3, 8, 15), (3, 21, 12)):
        given = images(2, shape)
        reference = numpy_reference.run(network, onnx_graph.get_weights(model), given)["output"]
        for found in (
            onnx_graph.run(model, given, mode="eval", taps=["fc4"])["fc4"],
            ReferenceEvaluator(model).run(None, {"images": given})[0],
        ):
            assert found.shape == reference.shape
            assert np.abs(found - reference).max() < 1e-5 * np.abs(reference).max()


@pytest.mark.parametrize("pooling", ["max", "average"])
@pytest.mark.parametrize("rounding", ["floor", "ceil"])
def test_pools_of_every_window_agree_at_every_size(pooling: Any, rounding: Any):
    checked = 0
    for kernel, stride, before, after in product((1, 2, 3, 5), (1, 2, 3, 4), (0, 1, 2), (0, 1, 4)):
        if max(before, after) >= kernel:
            continue
        layer = Pool("pool", pooling, (kernel, 2), (stride, 2), ((before, after), (1, 0)), rounding)
        model = onnx_graph.build(of(layer), {})
        for height in (5, 6, 7, 8):
            given = images(1, (2, height, 7))
            reference = numpy_reference.run(of(layer), {}, given)["output"]
            evaluated = ReferenceEvaluator(model).run(None, {"images": given})[0]
            for found in (onnx_graph.run(model, given, mode="eval", taps=["pool"])["pool"], evaluated):
                np.testing.assert_allclose(found, reference, atol=1e-6, err_msg=f"{layer} on {height}")
            checked += 1
    assert checked > 80


def test_training_updates_the_statistics_that_the_model_holds_and_nothing_else():
    model = built(NET)
    before = onnx_graph.get_weights(model)
    given = images(4, NET.input)
    onnx_graph.run(model, given, mode="eval", taps=["fc4"])
    assert all(np.array_equal(array, before[name]) for name, array in onnx_graph.get_weights(model).items())
    onnx_graph.run(model, given, mode="train", taps=[])
    changed = {name for name, array in onnx_graph.get_weights(model).items() if not np.array_equal(array, before[name])}
    assert changed == {name for name in before if name.endswith(("running_mean", "running_var"))}


def test_a_batch_with_one_number_for_a_channel_has_no_variance_and_is_refused():
    one = of(BatchNorm("norm"), input=(2, 1, 1))
    model = built(one)
    with pytest.raises(ConfigError, match="norm cannot learn the variance of one number") as caught:
        onnx_graph.run(model, images(1, one.input), mode="train", taps=["norm"])
    assert caught.value.code == "BATCH-NORM"
    assert np.isfinite(onnx_graph.run(model, images(2, one.input), mode="train", taps=["norm"])["norm"]).all()


def test_dropout_drops_its_share_in_training_keeps_the_mean_and_is_off_in_evaluation():
    network = of(Dropout("drop", 0.3), Dropout("again", 0.3), input=(1, 200, 200))
    model = built(network)
    ones = np.ones((1, *network.input), np.float32)
    assert np.array_equal(onnx_graph.run(model, ones, mode="eval", taps=["again"])["again"], ones)
    found = onnx_graph.run(model, ones, mode="train", taps=["drop", "again"])
    dropped = found["drop"] == 0
    assert abs(dropped.mean() - 0.3) < 0.01
    assert abs(found["drop"].mean() - 1) < 0.02
    assert abs((found["again"][~dropped] == 0).mean() - 0.3) < 0.01  # each layer draws for itself
    same = onnx_graph.run(model, ones, mode="train", taps=["drop"])["drop"]
    other = onnx_graph.run(model, ones, mode="train", taps=["drop"], seed=1)["drop"]
    assert np.array_equal(same, found["drop"])
    assert not np.array_equal(other, found["drop"])


def test_a_tap_needs_no_more_than_what_is_before_it():
    model = built(NET)
    early = onnx_graph.with_outputs(model, ["relu1_1"])
    assert [node.name for node in early.graph.node][-1] == "relu1_1"
    found = onnx_graph.run(model, images(2, NET.input), mode="eval", taps=["relu2_1", "relu1_1", "relu2_1"])
    assert [(name, array.shape) for name, array in found.items()] == [
        ("relu2_1", (2, 8, 4, 4)),
        ("relu1_1", (2, 4, 8, 8)),
    ]
    assert onnx_graph.run(model, images(2, NET.input), mode="eval", taps=[]) == {}


def test_the_same_call_gives_the_same_bits():
    network = narrow("resnet20_cifar", CATALOG["resnet20_cifar"])
    given, last = images(5, network.input), walk(network)[-1].layer.name
    for mode in ("eval", "train"):
        first, second = (
            onnx_graph.run(built(network), given, mode=mode, taps=[last])[last].tobytes() for _ in range(2)
        )
        assert first == second


def test_weights_are_set_all_or_nothing():
    model, arrays = built(NET), sample_weights(NET, seed=1)
    before = model.SerializeToString()
    with pytest.raises(WeightsError, match=r"missing: fc4\.bias") as caught:
        onnx_graph.set_weights(model, {name: array for name, array in arrays.items() if name != "fc4.bias"})
    assert caught.value.code == "WEIGHTS-MISMATCH"
    assert model.SerializeToString() == before
    onnx_graph.set_weights(model, arrays)
    assert all(np.array_equal(array, arrays[name]) for name, array in onnx_graph.get_weights(model).items())


def test_the_description_travels_in_the_model_and_through_a_file(tmp_path):
    onnx.save(built(NET), tmp_path / "net.onnx")
    model = onnx.load(tmp_path / "net.onnx")
    assert onnx_graph.network_of(model) == NET
    assert onnx_graph.get_weights(model).keys() == weights(NET).keys()


def foreign() -> ModelProto:
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    return helper.make_model(helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [value], [value]))


@pytest.mark.parametrize(
    "attempt",
    [
        onnx_graph.network_of,
        onnx_graph.get_weights,
        lambda model: onnx_graph.set_weights(model, {}),
        lambda model: onnx_graph.run(model, images(1, (1,)), mode="eval", taps=["y"]),
    ],
)
def test_a_model_from_elsewhere_is_refused(attempt: Any):
    with pytest.raises(ConfigError, match="this ModelProto was not built from a network's description") as caught:
        attempt(foreign())
    assert caught.value.code == "MODEL-FOREIGN"


def test_an_unknown_layer_is_refused_with_the_names_of_those_there_are():
    with pytest.raises(ConfigError, match=r"vgg has no layer 'conv9_9'\. Its layers: conv1_1, bn1_1") as caught:
        onnx_graph.run(built(NET), images(1, NET.input), mode="eval", taps=["conv1_1", "conv9_9"])
    assert caught.value.code == "LAYER-UNKNOWN"


@pytest.mark.parametrize("name", ["images", "logits"])
def test_a_layer_called_as_the_input_or_the_output_is_refused(name: str):
    with pytest.raises(ConfigError, match=f"an ONNX model has a use of its own for the name '{name}'") as caught:
        onnx_graph.build(of(ReLU(name)), {})
    assert caught.value.code == "NAME-RESERVED"


def test_a_network_with_a_flat_layer_cannot_take_any_size():
    with pytest.raises(ConfigError, match="vgg takes images of one size") as caught:
        built(NET, size="free")
    assert caught.value.code == "SIZE-FIXED"


def test_more_weights_than_one_file_holds_are_refused(monkeypatch: pytest.MonkeyPatch):
    assert 2**31 - 2**25 < onnx_graph.LARGEST < 2**31
    size = sum(array.nbytes for array in sample_weights(NET).values())
    monkeypatch.setattr(onnx_graph, "LARGEST", size)
    built(NET)
    monkeypatch.setattr(onnx_graph, "LARGEST", size - 1)
    with pytest.raises(ConfigError, match=r"vgg has 0\.00 GB of weights, and an ONNX file holds at most") as caught:
        built(NET)
    assert caught.value.code == "ONNX-SIZE"


def test_weights_in_another_file_are_not_read(tmp_path):
    (tmp_path / "secret").write_bytes(bytes(1000))
    model = built(NET)
    place = model.graph.initializer[0]
    place.ClearField("raw_data")
    place.data_location = TensorProto.EXTERNAL
    place.external_data.add(key="location", value=str(tmp_path / "secret"))
    with pytest.raises(WeightsError, match=r"are in another file, which is not read: conv1_1\.weight") as caught:
        onnx_graph.get_weights(model)
    assert caught.value.code == "ONNX-WEIGHTS"
