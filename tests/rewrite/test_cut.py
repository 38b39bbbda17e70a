"""Networks with another end or another input."""

from dataclasses import replace

import pytest
import torch

from verydeep.backends.check import sample_weights
from verydeep.backends.pytorch import build, run
from verydeep.errors import SpecError
from verydeep.families.catalog import network
from verydeep.rewrite.cut import cut, head_weights, resize, until, with_head
from verydeep.rewrite.dense import dense
from verydeep.spec import Block, Network, ReLU, residual, walk, weights


def small_d(**options):
    return network("D", input=(3, 64, 64), width=1 / 16, fc=(16, 12), classes=5, **options)


@pytest.mark.parametrize(("name", "layer"), [("D", "relu3_3"), ("D", "fc7"), ("resnet18", "add3_1")])
def test_a_network_cut_at_a_layer_gives_what_a_tap_reads_there(name, layer):
    net = small_d() if name == "D" else network(name, input=(3, 64, 64), width=1 / 8)
    short = cut(net, layer)
    arrays = sample_weights(net)
    x = torch.randn(2, 3, 64, 64)
    left = {name: arrays[name] for name in weights(short)}
    with torch.no_grad():
        tapped = run(build(net, arrays).eval(), x, taps=(layer,))[layer]
        assert torch.equal(build(short, left).eval()(x), tapped)


def test_until_some_layers_is_as_far_as_the_last_of_them_or_its_join():
    net = network("resnet18")
    assert until(net, ("add3_1", "conv1")) == replace(cut(net, "add3_1"), name=net.name)
    assert until(net, ("conv3_1a",)) == until(net, ("add3_1",))
    assert until(net, (walk(net)[-1].layer.name,)) == net
    with pytest.raises(SpecError, match="no layer 'relu9_9'"):
        until(net, ("add3_1", "relu9_9"))
    with pytest.raises(SpecError, match="no layer"):
        until(net, ())


def test_blocks_behind_the_cut_are_gone():
    short = cut(network("D"), "relu3_3")
    assert [block.name for block in short.blocks] == ["block1", "block2", "block3"]
    assert (short.name, walk(short)[-1].layer.name) == ("vgg16_relu3_3", "relu3_3")
    assert cut(network("D"), "pool3").blocks == network("D").blocks[:3]


def test_a_layer_on_a_path_is_refused_and_its_join_is_named():
    with pytest.raises(SpecError, match=r"paths of add3_1\. Cut at add3_1"):
        cut(network("resnet18"), "conv3_1a")


def test_a_layer_on_a_path_of_a_path_is_refused_and_the_outer_join_is_named():
    inner = residual("inner", (ReLU("relu"),))
    net = Network("n", (1, 2, 2), (Block("b", (residual("outer", (inner,)),)),))
    with pytest.raises(SpecError, match="paths of outer"):
        cut(net, "relu")


def test_an_unknown_layer_is_refused_and_the_layers_are_listed():
    with pytest.raises(SpecError, match=r"no layer 'relu9_9'.*conv1_1, relu1_1"):
        cut(network("D"), "relu9_9")


@pytest.mark.parametrize("name", ["D", "resnet50", "googlenet", "alexnet", "nin", "nin_imagenet", "lenet5"])
def test_another_head_changes_the_named_weights_and_nothing_else(name):
    net = network(name)
    changed = with_head(net, classes=7)
    assert changed.classes == 7
    before, after = weights(net), weights(changed)
    assert list(before) == list(after)
    assert tuple(array for array in before if before[array] != after[array]) == head_weights(net)


def test_the_head_is_the_one_that_the_family_would_build():
    assert with_head(network("D"), classes=4) == network("D", classes=4)
    assert with_head(network("nin"), classes=4) == network("nin", classes=4)


def test_a_dense_network_can_have_another_head():
    assert with_head(dense(network("D")), classes=4) == dense(network("D", classes=4))


def test_a_network_without_a_head_is_refused_and_told_why():
    with pytest.raises(SpecError, match="the last layer with weights is bn1_2"):
        with_head(cut(network("D_bn"), "relu1_2"), classes=4)
    with pytest.raises(SpecError, match="the last layer with weights is bn5_2b"):
        with_head(cut(network("resnet18"), "relu5_2"), classes=4)
    with pytest.raises(SpecError, match="mixed with places of the map"):
        with_head(cut(network("D"), "flatten"), classes=4)
    with pytest.raises(SpecError, match="must be a whole number of at least 1, not 0"):
        with_head(network("D"), classes=0)


def test_a_convolution_on_a_path_is_no_head():
    with pytest.raises(SpecError, match="the last layer with weights is inception_5b_pool_proj"):
        with_head(cut(network("googlenet"), "inception_5b"), classes=4)


def test_a_resized_network_has_the_same_layers():
    net = resize(network("D"), (3, 256, 320))
    assert net.blocks == network("D").blocks
    assert weights(net)["fc6.weight"].shape == (4096, 512 * 8 * 10)


def test_a_resized_dense_network_keeps_all_weights():
    net = dense(network("D"))
    assert weights(resize(net, (3, 256, 341))) == weights(net)
    assert resize(net, (3, 256, 341)).output.shape == (1000, 2, 4)


def test_a_size_that_does_not_fit_is_refused_naming_the_layer():
    with pytest.raises(SpecError, match="block5/pool5: a window of 2 does not fit 1x1"):
        resize(network("D"), (3, 16, 16))


def test_pools_that_were_left_out_for_a_small_input_do_not_come_back():
    net = resize(network("D", input=(3, 16, 16)), (3, 224, 224))
    assert "pool5" not in {step.layer.name for step in walk(net)}
