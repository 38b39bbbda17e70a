"""torchvision's own models and ours: the same weights, bit for bit the same logits."""

import re

import numpy as np
import pytest
import torch
import torchvision

from verydeep.backends.check import sample_weights
from verydeep.backends.pytorch import build
from verydeep.errors import WeightsError
from verydeep.families.catalog import network
from verydeep.families.vgg import vgg
from verydeep.rewrite.cut import cut
from verydeep.rewrite.dense import dense
from verydeep.rewrite.fold import fold
from verydeep.weights.torchvision import from_torchvision, names, to_torchvision

BY_DEFAULT = ("vgg11", "vgg16_bn", "alexnet", "googlenet", "resnet18", "resnet50")
FULL = ("vgg11_bn", "vgg13", "vgg13_bn", "vgg16", "vgg19", "vgg19_bn", "resnet34", "resnet101", "resnet152")
WITHOUT_FORM = ("A-LRN", "C", "shallow", "lenet5", "alexnet_2012", "nin", "googlenet", "resnet20_cifar", "simple_cnn")


def theirs(name, **options):
    """torchvision's model with random weights, and batch norm that is not the identity."""
    torch.manual_seed(0)
    if name == "googlenet":
        options = {"aux_logits": False, "transform_input": False, **options}
    if name == "googlenet" or name.startswith("vgg"):
        options = {"init_weights": False, **options}
    model = getattr(torchvision.models, name)(weights=None, **options).eval()
    for key, tensor in model.state_dict().items():
        if key.endswith("running_mean"):
            tensor.normal_(0, 0.1)
        if key.endswith("running_var"):
            tensor.uniform_(0.5, 1.5)
    return model


def ours(name, **options):
    return network("googlenet_bn" if name == "googlenet" else name, **options)


def numpy_state(model):
    return {key: tensor.numpy() for key, tensor in model.state_dict().items()}


def small_state(net):
    return to_torchvision(net, sample_weights(net))


def small_vgg(**options):
    return vgg(((1, 8), (2, 8)), input=(3, 28, 28), classes=4, fc=(6, 5), **options)


@pytest.mark.parametrize("name", [*BY_DEFAULT, *(pytest.param(name, marks=pytest.mark.slow) for name in FULL)])
def test_the_logits_are_equal_to_the_last_bit_at_224(name):
    model, net = theirs(name), ours(name)
    twin = build(net, from_torchvision(net, numpy_state(model))).eval()
    images = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        expected, found = model(images), twin(images)
    assert float(expected.abs().max()) > 0
    assert torch.equal(found, expected)


@pytest.mark.parametrize("name", ["vgg11_bn", "alexnet", "googlenet", "resnet18", "resnet50"])
def test_a_state_dict_comes_out_as_it_went_in(name):
    with torch.device("meta"):
        keys = {key: tuple(tensor.shape) for key, tensor in theirs_on_meta(name).state_dict().items()}
    net = ours(name)
    stream = np.random.default_rng(0)
    state = {
        key: np.array(0) if key.endswith("tracked") else stream.standard_normal(shape, dtype=np.float32)
        for key, shape in keys.items()
    }
    back = to_torchvision(net, from_torchvision(net, state))
    assert list(back) == list(state)  # in torchvision's order too
    for key, array in state.items():
        assert back[key].dtype == array.dtype
        assert np.array_equal(back[key], array)


def theirs_on_meta(name):
    options = {"aux_logits": False, "init_weights": False} if name == "googlenet" else {}
    return getattr(torchvision.models, name)(weights=None, **options)


def test_torchvision_takes_what_we_write():
    net = network("resnet18")
    weights = sample_weights(net)
    model = torchvision.models.resnet18(weights=None)
    model.load_state_dict({key: torch.from_numpy(array) for key, array in to_torchvision(net, weights).items()})
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(model.eval()(images), build(net, weights).eval()(images))


def test_names_follow_from_the_order_of_the_layers():
    found = names(network("D"))
    assert found["conv5_3.weight"] == "features.28.weight"
    assert found["fc6.bias"] == "classifier.0.bias"
    assert found["fc8.weight"] == "classifier.6.weight"
    assert names(network("alexnet"))["fc7.weight"] == "classifier.4.weight"
    assert names(network("googlenet_bn"))["bn_inception_3a_5x5.running_var"] == "inception3a.branch3.1.bn.running_var"
    assert names(network("resnet50"))["conv2_1s.weight"] == "layer1.0.downsample.0.weight"


def test_any_arch_has_names_and_torchvision_takes_them():
    net = small_vgg(batch_norm=True)
    features = torchvision.models.vgg.make_layers([8, "M", 8, 8, "M"], batch_norm=True)
    expected = {key for key in features.state_dict() if not key.endswith("tracked")}
    found = {key.removeprefix("features.") for key in names(net).values() if key.startswith("features.")}
    assert found == expected
    assert names(net)["fc5.weight"] == "classifier.6.weight"


def test_the_names_do_not_depend_on_dropout():
    assert names(small_vgg(dropout=0.0)) == names(small_vgg(dropout=0.5))


def test_a_folded_vgg_has_the_names_of_the_plain_one():
    assert names(fold(network("D_bn"))) == names(network("D"))


@pytest.mark.parametrize("name", WITHOUT_FORM)
def test_a_network_that_torchvision_lacks_is_refused(name):
    with pytest.raises(WeightsError, match="has no torchvision form") as raised:
        names(network(name))
    assert raised.value.code == "WEIGHTS-NO-FORM"
    assert raised.value.hint


def test_a_changed_network_is_refused():
    for changed in (dense(network("D")), cut(network("D"), "relu3_3"), fold(network("resnet18"))):
        with pytest.raises(WeightsError, match="has no torchvision form"):
            names(changed)


@pytest.mark.parametrize("name", ["vgg", "googlenet_bn", "resnet18"])
def test_a_missing_an_unknown_and_a_transposed_key_are_refused_and_named(name):
    net = small_vgg() if name == "vgg" else network(name, width=1 / 16, classes=4)
    state = small_state(net)
    last = "classifier.6.weight" if name == "vgg" else "fc.weight"
    for wrong, text in (
        ({key: array for key, array in state.items() if key != last}, f"missing: {last}"),
        ({**state, "odd.weight": np.zeros(3)}, "unknown: odd.weight"),
        ({**state, last: state[last].T}, f"{last} is {state[last].T.shape}, not {state[last].shape}"),
    ):
        with pytest.raises(WeightsError, match=re.escape(text)) as raised:
            from_torchvision(net, wrong)
        assert raised.value.code == "WEIGHTS-MISMATCH"


def test_the_auxiliary_classifiers_of_googlenet_are_left_behind():
    net = network("googlenet_bn", width=1 / 16)
    state = small_state(net)
    with_auxiliary = {**state, "aux1.fc1.weight": np.zeros((2, 2)), "aux2.conv.bn.running_var": np.zeros(2)}
    assert from_torchvision(net, with_auxiliary).keys() == from_torchvision(net, state).keys()
    with pytest.raises(WeightsError, match=r"unknown: aux1\.fc1"):
        from_torchvision(small_vgg(), {**small_state(small_vgg()), "aux1.fc1.weight": np.zeros((2, 2))})


def test_the_counters_of_batch_norm_may_be_absent():
    net = small_vgg(batch_norm=True)
    state = small_state(net)
    without = {key: array for key, array in state.items() if not key.endswith("num_batches_tracked")}
    assert len(without) < len(state)
    assert from_torchvision(net, without).keys() == from_torchvision(net, state).keys()


def test_weights_of_another_network_are_not_written():
    with pytest.raises(WeightsError, match="missing: bn1_1"):
        to_torchvision(small_vgg(batch_norm=True), sample_weights(small_vgg()))
