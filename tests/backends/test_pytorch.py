"""A network built for PyTorch is an ordinary module that computes what the description says, no more and no less."""

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from verydeep.backends import numpy_reference, pytorch
from verydeep.backends.check import narrow, sample_weights
from verydeep.backends.odd_networks import ODD_NETWORKS
from verydeep.errors import ConfigError, WeightsError
from verydeep.families.catalog import CATALOG, network
from verydeep.spec import (
    BatchNorm,
    Block,
    Conv,
    Flatten,
    Layer,
    Network,
    Pool,
    ReLU,
    Shape,
    conv,
    walk,
    weights,
)
from verydeep.weights.initial import initial

ODD = {odd.name: odd for odd in ODD_NETWORKS}
THIN = network("A", input=(3, 32, 32), classes=10, width=0.125, fc=(24, 20))


def chain(*layers: Layer, input: Shape = (3, 8, 8)) -> Network:
    return Network("net", input, (Block("block1", layers),))


def thin_model(*, layout: pytorch.Layout = "channels_first") -> nn.Sequential:
    return pytorch.build(THIN, sample_weights(THIN), layout=layout)


def images(net: Network, *, count: int = 2, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal((count, *net.input)).astype(np.float32))


# What is built


def test_children_have_the_names_of_blocks_and_layers():
    model = thin_model()
    assert [name for name, _ in model.named_children()] == ["block1", "block2", "block3", "block4", "block5", "head"]
    assert isinstance(model.get_submodule("block1.conv1_1"), nn.Conv2d)
    assert isinstance(model.get_submodule("head.fc8"), nn.Linear)
    assert list(model.state_dict())[:2] == ["block1.conv1_1.weight", "block1.conv1_1.bias"]


def test_a_new_model_is_in_train_mode_on_the_cpu_and_knows_its_description():
    model = thin_model()
    assert model.training
    assert {parameter.device.type for parameter in model.parameters()} == {"cpu"}
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert model.network == THIN


def test_an_unknown_layout_is_refused_with_the_known_ones():
    with pytest.raises(ConfigError) as caught:
        pytorch.build(THIN, initial(THIN), layout="nhwc")  # type: ignore[arg-type]
    assert str(caught.value) == "layout 'nhwc' is unknown. Choose channels_first or channels_last."


@pytest.mark.parametrize("name", ["forward", "training", "network", "half"])
def test_a_name_that_pytorch_needs_for_itself_is_refused(name: str):
    for net in (chain(ReLU(name)), Network("net", (3, 8, 8), (Block(name, (ReLU("relu"),)),))):
        with pytest.raises(ConfigError) as caught:
            pytorch.build(net, {})
        assert (
            str(caught.value) == f"net: PyTorch has a use of its own for the name {name!r}. Rename the layer or block."
        )


# Shapes, geometry and costs


@pytest.mark.parametrize("name", CATALOG)
def test_every_inferred_shape_is_that_of_the_activation(name: str):
    net = narrow(name, CATALOG[name])
    with torch.inference_mode():
        outputs = pytorch.run(pytorch.build(net, initial(net)), images(net), taps=[s.layer.name for s in walk(net)])
    assert {name: tuple(output.shape[1:]) for name, output in outputs.items()} == {
        step.layer.name: step.after.shape for step in walk(net)
    }


def counted_macs(net: Network) -> int:
    """What PyTorch itself counts while the network runs on shapes alone."""
    arrays = {name: np.zeros(weight.shape, np.float32) for name, weight in weights(net).items()}
    model = pytorch.build(net, arrays).eval().to("meta")
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        model(torch.empty(1, *net.input, device="meta"))
    assert counter.get_total_flops() % 2 == 0
    return counter.get_total_flops() // 2


@pytest.mark.parametrize("name", CATALOG)
def test_costs_are_those_that_pytorch_counts(name: str):
    options: dict[str, Any] = {"fc": (48, 40)} if {"fc7", "fc8"} <= {s.layer.name for s in walk(network(name))} else {}
    net = network(name, **options)  # at its full width and size, all but the hidden layers, which are only memory
    assert counted_macs(net) == sum(step.layer.macs(step.before) for step in walk(net))


@pytest.mark.parametrize("name", ODD)
def test_costs_of_odd_layers_are_those_that_pytorch_counts(name: str):
    assert counted_macs(ODD[name]) == sum(step.layer.macs(step.before) for step in walk(ODD[name]))


def pairs(least: int, most: int) -> st.SearchStrategy[tuple[int, int]]:
    return st.tuples(st.integers(least, most), st.integers(least, most))


@settings(max_examples=150, deadline=None)
@given(
    size=pairs(1, 9),
    kernel=pairs(1, 4),
    stride=pairs(1, 4),
    padding=st.tuples(pairs(0, 3), pairs(0, 3)),
    pooling=st.sampled_from(["max", "average"]),
    rounding=st.sampled_from(["floor", "ceil"]),
)
def test_every_pool_that_can_be_said_is_the_references(size, kernel, stride, padding, pooling, rounding):
    assume(all(max(sides) < k for sides, k in zip(padding, kernel, strict=True)))
    assume(all(n + sum(sides) >= k for n, sides, k in zip(size, padding, kernel, strict=True)))
    net = chain(Pool("pool", pooling, kernel, stride, padding, rounding), input=(2, *size))
    x = images(net)
    found = pytorch.build(net, {})(x)
    expected = numpy_reference.run(net, {}, x.numpy())["output"]
    assert tuple(found.shape[1:]) == net.output.shape
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(
    kernel=pairs(1, 3),
    stride=pairs(1, 3),
    padding=st.tuples(pairs(0, 3), pairs(0, 3)),
    dilation=pairs(1, 2),
    groups=st.sampled_from([1, 2]),
    bias=st.booleans(),
)
def test_every_convolution_that_can_be_said_is_the_references(kernel, stride, padding, dilation, groups, bias):
    net = chain(Conv("conv", 4, kernel, stride, padding, dilation, groups, bias), input=(2, 7, 6))
    arrays, x = sample_weights(net), images(net)
    found = pytorch.build(net, arrays)(x).detach().numpy()
    expected = numpy_reference.run(net, arrays, x.numpy())["output"]
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=1e-5)


# Taps


def test_taps_are_read_while_the_model_runs():
    model = thin_model().eval()
    x = images(THIN)
    with torch.inference_mode():
        taps = pytorch.run(model, x, taps=("relu3_2", "fc7"))
        first, second, third = list(model.children())[:3]
        expected = nn.Sequential(*list(third.children())[:-1])(second(first(x)))  # all but pool3
    assert list(taps) == ["relu3_2", "fc7"]
    assert torch.equal(taps["relu3_2"], expected)
    assert taps["fc7"].shape == (2, 20)


def test_nothing_deeper_than_the_deepest_tap_is_computed():
    model = thin_model()
    calls: list[str] = []
    for name, module in model.named_modules():
        if not list(module.children()):
            module.register_forward_pre_hook(lambda *_, name=name: calls.append(name))
    pytorch.run(model, images(THIN), taps=("relu2_1", "conv1_1"))
    assert calls == ["block1.conv1_1", "block1.relu1_1", "block1.pool1", "block2.conv2_1", "block2.relu2_1"]


@pytest.mark.parametrize("name", ["vgg11", "resnet18", "googlenet", "simple_cnn"])
def test_a_tap_before_a_relu_keeps_its_negative_numbers(name: str):
    net = narrow(name, CATALOG[name])
    model = pytorch.build(net, sample_weights(net)).eval()
    steps = walk(net)
    pre = [a.layer.name for a, b in pairwise(steps) if isinstance(b.layer, ReLU)]
    with torch.inference_mode():
        taps = pytorch.run(model, images(net), taps=[step.layer.name for step in steps])
    assert len(pre) >= 5
    assert all(taps[layer].min() < 0 for layer in pre)


def test_taps_inside_paths_have_names_too():
    net = narrow("resnet18", CATALOG["resnet18"])
    model = pytorch.build(net, initial(net))
    taps = pytorch.run(model, images(net), taps=("conv3_1s", "bn3_1b", "add3_1"))
    assert taps["conv3_1s"].shape == taps["bn3_1b"].shape == taps["add3_1"].shape


def test_gradients_flow_from_a_tap_to_the_image():
    x = images(THIN).requires_grad_()
    pytorch.run(thin_model(), x, taps=("relu2_1",))["relu2_1"].sum().backward()
    assert x.grad is not None and x.grad.abs().sum() > 0


def test_no_hook_is_left_behind_even_after_an_error():
    model = thin_model()
    pytorch.run(model, images(THIN), taps=("relu1_1", "fc8"))
    with pytest.raises(RuntimeError):
        pytorch.run(model, torch.zeros(1, 7, 32, 32), taps=("fc8",))
    assert not any(module._forward_hooks for module in model.modules())


def test_an_unknown_layer_is_refused_with_the_known_ones():
    with pytest.raises(ConfigError) as caught:
        pytorch.run(thin_model(), images(THIN), taps=("conv1_2",))
    assert str(caught.value).startswith("vgg11 has no layer 'conv1_2'. Its layers: conv1_1, relu1_1, pool1, ")


# Batch norm in training


@pytest.mark.parametrize("flat", [False, True], ids=["maps", "vectors"])
def test_running_statistics_follow_the_formula(flat: bool):
    layers = (*((Flatten("flatten"),) if flat else ()), BatchNorm("norm", epsilon=1e-3, momentum=0.3))
    net = chain(*layers, input=(3, 1, 1) if flat else (3, 4, 5))
    model = pytorch.build(net, initial(net))
    mean, variance = np.zeros(3), np.ones(3)
    for seed in range(3):
        x = images(net, count=6, seed=seed) * 3 + 1
        model(x)
        batch = x.numpy().astype(np.float64).transpose(1, 0, 2, 3).reshape(3, -1)
        mean = 0.7 * mean + 0.3 * batch.mean(1)
        variance = 0.7 * variance + 0.3 * batch.var(1, ddof=1)  # unbiased
    found = pytorch.get_weights(model)
    np.testing.assert_allclose(found["norm.running_mean"], mean, rtol=1e-5)
    np.testing.assert_allclose(found["norm.running_var"], variance, rtol=1e-5)


def test_evaluation_leaves_the_running_statistics_as_they_are():
    net = chain(BatchNorm("norm"))
    model = pytorch.build(net, initial(net)).eval()
    model(images(net) * 5)
    assert pytorch.get_weights(model)["norm.running_mean"].tolist() == [0, 0, 0]


# Weights


def test_weights_come_out_as_they_went_in():
    arrays = sample_weights(THIN)
    found = pytorch.get_weights(thin_model())
    assert list(found) == list(weights(THIN))
    assert all(np.array_equal(found[name], arrays[name]) for name in arrays)


def test_weights_are_copies_in_both_directions():
    arrays = sample_weights(THIN)
    model = pytorch.build(THIN, arrays)
    arrays["conv1_1.weight"][:] = 7
    out = pytorch.get_weights(model)
    assert not np.array_equal(out["conv1_1.weight"], arrays["conv1_1.weight"])
    out["conv1_1.weight"][:] = 8
    assert not (pytorch.get_weights(model)["conv1_1.weight"] == 8).any()


def without(name: str) -> Callable[[dict[str, Any]], None]:
    return lambda arrays: arrays.pop(name)


def extra(name: str) -> Callable[[dict[str, Any]], None]:
    return lambda arrays: arrays.update({name: np.zeros(3, np.float32)})


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (without("fc8.bias"), "missing: fc8.bias"),
        (extra("fc9.bias"), "unknown: fc9.bias"),
        (extra("fc8.bias"), "shapes: fc8.bias is (3,), not (10,)"),
    ],
    ids=["missing", "unknown", "shape"],
)
def test_weights_that_do_not_fit_are_refused_and_nothing_is_loaded(damage: Any, words: str):
    model = thin_model()
    before = pytorch.get_weights(model)
    arrays: dict[str, Any] = {name: np.full_like(array, 9) for name, array in before.items()}
    damage(arrays)
    with pytest.raises(WeightsError) as caught:
        pytorch.set_weights(model, arrays)
    assert caught.value.code == "WEIGHTS-MISMATCH"
    assert caught.value.message == f"these weights are not those of vgg11: {words}"
    after = pytorch.get_weights(model)
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_many_problems_are_told_in_one_line():
    with pytest.raises(WeightsError, match=r"missing: conv1_1\.weight, .* and 16 more\. Build the network"):
        pytorch.build(THIN, {})


def test_weights_may_be_tensors_or_read_only_or_of_another_precision():
    arrays = sample_weights(THIN)
    frozen = {name: array.copy() for name, array in arrays.items()}
    for array in frozen.values():
        array.setflags(write=False)  # as safetensors and memory-mapped files give them
    others: tuple[dict[str, Any], ...] = (
        frozen,
        {name: torch.from_numpy(array) for name, array in arrays.items()},
        {name: array.astype(np.float64) for name, array in arrays.items()},
        {name: np.asfortranarray(array) for name, array in arrays.items()},
    )
    for other in others:
        found = pytorch.get_weights(pytorch.build(THIN, other))
        assert all(np.array_equal(found[name], arrays[name]) for name in arrays)


# Layouts


def test_channels_last_changes_where_numbers_lie_and_not_what_they_are():
    first, last = thin_model().eval(), thin_model(layout="channels_last").eval()
    kernel = last.get_submodule("block2.conv2_1").weight
    assert isinstance(kernel, Tensor) and kernel.is_contiguous(memory_format=torch.channels_last)
    assert not kernel.is_contiguous()
    x = images(THIN)
    with torch.inference_mode():
        torch.testing.assert_close(last(x.to(memory_format=torch.channels_last)), first(x), rtol=1e-5, atol=1e-5)
    ours, theirs = pytorch.get_weights(first), pytorch.get_weights(last)
    assert all(np.array_equal(ours[name], theirs[name]) and theirs[name].flags.c_contiguous for name in weights(THIN))


def test_flatten_is_channel_major_in_both_layouts():
    net = chain(conv("conv", 4, kernel=3), Flatten("flatten"))
    x = images(net)
    for layout in ("channels_first", "channels_last"):
        taps = pytorch.run(pytorch.build(net, sample_weights(net), layout=layout), x, taps=("conv", "flatten"))
        assert torch.equal(taps["flatten"], taps["conv"].contiguous().reshape(2, -1))


# The field's own networks


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("resnet18", torchvision.models.resnet18),
        ("resnet50", torchvision.models.resnet50),
        ("googlenet_bn", partial(torchvision.models.googlenet, aux_logits=False, init_weights=False)),
    ],
    ids=["resnet18", "resnet50", "googlenet_bn"],
)
def test_torchvisions_network_with_the_same_weights_gives_the_same_logits(name: str, theirs: Any):
    net = network(name, input=(3, 64, 64), classes=10)
    arrays = sample_weights(net)
    twin = theirs(num_classes=10).eval()
    own = [key for key in twin.state_dict() if not key.endswith("num_batches_tracked")]
    state = dict(zip(own, (torch.from_numpy(array) for array in arrays.values()), strict=True))
    twin.load_state_dict(state, strict=False)
    model = pytorch.build(net, arrays).eval()
    x = images(net)
    with torch.inference_mode():
        torch.testing.assert_close(model(x), twin(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", CATALOG)
def test_no_network_needs_an_operation_without_a_deterministic_backward_pass(name: str):
    # AdaptiveAvgPool2d has none on CUDA.
    net = narrow(name, CATALOG[name])
    model = pytorch.build(net, initial(net))
    assert not any("Adaptive" in type(module).__name__ for module in model.modules())


def test_a_strided_shortcut_of_few_channels_and_an_odd_batch_survives_its_backward_pass():
    """In a process of its own: with PyTorch's own convolution it died with a signal."""
    script = """
import torch, verydeep as vd
conv = vd.conv("conv", 16, kernel=1, stride=2)
net = vd.Network("shortcut", (8, 16, 16), (vd.Block("body", (conv,)),))
model = vd.build(net, layout="channels_last")
images = torch.randn(17, 8, 16, 16).to(memory_format=torch.channels_last)
for _ in range(10):
    model(images).sum().backward()
plain = torch.nn.functional.conv2d(images.contiguous(), model.body.conv.weight, model.body.conv.bias, stride=2)
print(torch.allclose(model(images), plain, atol=1e-5))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr
