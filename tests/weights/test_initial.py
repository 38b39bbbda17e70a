"""Initial weights follow the named rule, and only the rule, the seed and the array's own name."""

import math

import numpy as np
import pytest
import torch

from verydeep.backends import numpy_reference
from verydeep.errors import ConfigError
from verydeep.families.catalog import network
from verydeep.spec import BatchNorm, Network, walk, weights
from verydeep.weights.initial import RULES, initial

NET = network("D", classes=10, width=0.5, fc=(256, 256), input=(3, 64, 64))


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    window = math.prod(shape[2:])
    return shape[1] * window, shape[0] * window


FORMULAS = {  # the variance that each rule promises for an array of this shape
    "he": lambda shape: 2 / fans(shape)[0],
    "torchvision": lambda shape: 2 / fans(shape)[1] if len(shape) == 4 else 1e-4,
    "glorot": lambda shape: 2 / sum(fans(shape)),
    "paper": lambda shape: 1e-2,
    "caffe": lambda shape: 1e-4,
}


def test_every_rule_has_its_formula_here():
    assert set(FORMULAS) | {"identity"} == set(RULES)


@pytest.mark.parametrize("rule", FORMULAS)
def test_the_variance_is_that_of_the_formula(rule: str):
    for name, array in initial(NET, rule=rule).items():
        if array.ndim > 1:
            ratio = array.astype(np.float64).var() / FORMULAS[rule](array.shape)
            assert abs(ratio - 1) < 5 * math.sqrt(2 / array.size), name  # five standard deviations of a variance
            assert abs(array.mean()) < 5 * array.std() / math.sqrt(array.size), name


@pytest.mark.parametrize("rule", ["he", "torchvision", "paper", "caffe"])
def test_all_rules_but_glorot_are_normal(rule: str):
    array = initial(NET, rule=rule)["conv4_2.weight"].astype(np.float64)
    normal = array / array.std()
    assert abs((normal**4).mean() - 3) < 0.05  # the fourth moment of a normal number
    assert normal.max() > 4


def test_glorot_is_uniform_between_its_limits():
    array = initial(NET, rule="glorot")["conv4_2.weight"]
    limit = math.sqrt(6 / sum(fans(array.shape)))
    assert 0.999 * limit < np.abs(array).max() <= limit
    assert abs((np.abs(array) < limit / 2).mean() - 0.5) < 0.01


@pytest.mark.parametrize("shape", [(6, 4, 3, 3), (4, 6, 3, 3), (24, 3, 2, 2), (5, 5, 1, 3)])
def test_identity_passes_every_map_on_while_there_are_outputs_as_pytorchs_dirac_does(shape: tuple[int, ...]):
    array = RULES["identity"](shape, np.random.default_rng(0))
    passed = min(shape[:2])
    expected = torch.nn.init.dirac_(torch.empty(passed, *shape[1:]))
    assert np.array_equal(array[:passed], expected.numpy())
    rest, limit = array[passed:], 1 / math.sqrt(fans(shape)[0])
    assert not rest.size or 0.8 * limit < np.abs(rest).max() <= limit


def test_identity_leaves_linear_layers_as_pytorch_draws_them():
    array = RULES["identity"]((64, 400), np.random.default_rng(0))
    torchs = torch.nn.Linear(400, 64).weight.detach().numpy()
    assert 0.999 / 20 < np.abs(array).max() <= 1 / 20 >= np.abs(torchs).max()


def test_the_papers_variance_is_a_hundred_times_caffes():
    paper, caffe = initial(NET, rule="paper"), initial(NET, rule="caffe")
    np.testing.assert_allclose(paper["fc6.weight"], 10 * caffe["fc6.weight"], rtol=1e-6)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", ["vgg11_bn", "googlenet_bn", "resnet20_cifar", "lenet5", "alexnet_2012"])
def test_every_array_is_there_and_finite_and_single_precision(rule: str, name: str):
    net = network(name, width=0.125)
    arrays = initial(net, rule=rule)
    assert {key: array.shape for key, array in arrays.items()} == {key: w.shape for key, w in weights(net).items()}
    assert all(array.dtype == np.float32 and np.isfinite(array).all() for array in arrays.values())


def test_biases_are_zero_and_batch_norm_is_the_identity():
    net = network("D_bn", classes=10, width=0.125, fc=(16,), input=(3, 32, 32))
    norms = {step.layer.name for step in walk(net) if isinstance(step.layer, BatchNorm)}
    for name, array in initial(net).items():
        layer, kind = name.split(".")
        if layer in norms:
            assert (array == (1 if kind in ("weight", "running_var") else 0)).all()
        elif kind == "bias":
            assert not array.any()


def test_an_array_does_not_depend_on_the_layers_around_it():
    other = network("E", classes=1000, width=0.5, fc=(256, 64), input=(3, 64, 64))
    ours, theirs = initial(NET), initial(other)
    same = [name for name in ours if name in theirs and ours[name].shape == theirs[name].shape]
    assert "conv5_3.weight" in same and "fc6.weight" in same
    assert all(np.array_equal(ours[name], theirs[name]) for name in same)


def test_arrays_of_equal_shape_differ():
    arrays = initial(NET)
    assert not np.array_equal(arrays["conv5_1.weight"], arrays["conv5_2.weight"])


def test_the_seed_decides():
    small = network("lenet5")
    assert all(
        np.array_equal(a, b) for a, b in zip(initial(small).values(), initial(small, seed=0).values(), strict=True)
    )
    assert not np.array_equal(initial(small)["conv1.weight"], initial(small, seed=1)["conv1.weight"])


def test_an_unknown_rule_is_refused_with_the_nearest_or_all():
    with pytest.raises(ConfigError) as caught:
        initial(NET, rule="cafe")
    assert caught.value.code == "INIT-UNKNOWN"
    assert str(caught.value) == "no initialisation is called 'cafe'. Did you mean caffe?"
    with pytest.raises(ConfigError, match="Choose from he, torchvision, glorot, paper, caffe"):
        initial(NET, rule="zzz")


def growth(net: Network, *, rule: str) -> float:
    """The mean square of the logits over that of the pixels."""
    images = np.random.default_rng(0).standard_normal((2, *net.input))
    logits = numpy_reference.run(net, initial(net, rule=rule), images)["output"]
    return float((logits**2).mean())


def test_he_keeps_the_signal_through_nineteen_layers_and_caffes_rule_loses_it():
    deep = network("E", classes=100, width=0.25, fc=(512, 512), input=(3, 32, 32))
    assert 1e-1 < growth(deep, rule="he") < 1e2
    assert growth(deep, rule="caffe") < 1e-15
