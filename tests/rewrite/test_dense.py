"""The fully convolutional form: what is equal to what, and how closely."""

import numpy as np
import pytest
import timm
import torch

from verydeep.backends.check import sample_weights
from verydeep.backends.pytorch import build
from verydeep.errors import SpecError, WeightsError
from verydeep.families.catalog import network
from verydeep.rewrite.cut import cut, resize
from verydeep.rewrite.dense import dense, dense_weights
from verydeep.spec import BatchNorm, Block, Conv, Flatten, Linear, Network, Pool, branch, conv, pool, walk
from verydeep.weights.torchvision import names

CLOSE = 1e-5  # of the largest logit


@pytest.fixture(scope="module")
def column_d():
    net = network("D")
    return net, sample_weights(net)


@pytest.fixture(scope="module")
def thin_d():
    net = network("D", width=1 / 16, fc=(32, 32), classes=10)
    return net, build(dense(net), dense_weights(net, sample_weights(net))).eval()


def run(model, images):
    with torch.no_grad():
        return model(images)


def images(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def error(found, expected):
    return float((found - expected).abs().max() / expected.abs().max())


def layer(net, name):
    return next(step.layer for step in walk(net) if step.layer.name == name)


def test_fc6_becomes_a_7x7_convolution_and_the_later_ones_1x1():
    net = dense(network("D"))
    assert [layer(net, name) for name in ("fc6", "fc7", "fc8")] == [
        conv("fc6", 4096, kernel=7),
        conv("fc7", 4096, kernel=1),
        conv("fc8", 1000, kernel=1),
    ]
    assert not any(isinstance(step.layer, Flatten | Linear) for step in walk(net))
    assert (net.name, net.input, net.output.shape) == ("vgg16_dense", (3, 224, 224), (1000, 1, 1))


def test_the_kernel_is_the_map_that_fc6_read_even_where_it_is_no_square():
    assert layer(dense(network("D", input=(3, 224, 320))), "fc6").kernel == (7, 10)


def test_all_other_layers_stay_as_they_were():
    net = network("D_bn")
    kept = [step.layer for step in walk(net) if not isinstance(step.layer, Flatten | Linear)]
    assert [step.layer for step in walk(dense(net)) if not step.layer.name.startswith("fc")] == kept


def test_a_pool_over_the_whole_map_becomes_a_window_of_its_size():
    net = dense(network("resnet18"))
    assert layer(net, "mean") == pool("mean", "average", kernel=7)
    assert layer(net, "fc") == conv("fc", 1000, kernel=1)
    assert resize(net, (3, 256, 320)).output.shape == (1000, 2, 4)


def test_a_network_that_ends_in_a_pool_gets_a_window_there_and_no_flatten():
    last = walk(dense(network("nin")))[-1]
    assert isinstance(last.layer, Pool)
    assert last.after.shape == (10, 1, 1)


def test_the_receptive_field_of_a_logit_is_the_one_of_the_original():
    for name in ("D", "lenet5", "alexnet", "googlenet"):
        net = network(name)
        turned = dense(net).output
        assert (turned.receptive_field, turned.step, turned.origin) == (
            net.output.receptive_field,
            net.output.step,
            net.output.origin,
        )


def test_the_dense_weights_are_the_same_memory():
    net = network("D", width=1 / 16, fc=(32, 32))
    before = sample_weights(net)
    after = dense_weights(net, before)
    assert after.keys() == before.keys()
    assert after["fc6.weight"].shape == (32, 32, 7, 7)
    for name, array in before.items():
        assert np.shares_memory(after[name], array)
        assert np.array_equal(after[name].ravel(), array.ravel())


def test_weights_of_another_network_are_refused():
    with pytest.raises(WeightsError, match=r"fc6\.weight is \(32, 25088\), not \(16, 25088\)"):
        dense_weights(network("A", fc=(16, 16)), sample_weights(network("A", fc=(32, 16))))


def test_a_network_with_nothing_to_turn_is_refused():
    with pytest.raises(SpecError, match="nothing to turn"):
        dense(cut(network("D"), "pool5"))
    with pytest.raises(SpecError, match="nothing to turn"):
        dense(dense(network("D")))


def test_a_flat_map_that_no_linear_reads_is_refused():
    with pytest.raises(SpecError, match="no Linear reads the map of 7x7"):
        dense(cut(network("D"), "flatten"))


def test_a_whole_map_inside_a_join_is_refused_and_named():
    join = branch("join", (pool("mean", kernel=None),), (pool("other", kernel=4),))
    net = Network("n", (1, 4, 4), (Block("b", (join, Flatten("flatten"), Linear("fc", 2))),))
    with pytest.raises(SpecError, match="mean reads the whole map inside join"):
        dense(net)


def test_a_whole_map_inside_a_join_of_a_join_is_refused_too():
    inner = branch("inner", (pool("mean", kernel=None),), (pool("other", kernel=4),))
    net = Network("n", (1, 4, 4), (Block("b", (branch("outer", (inner,), (inner_twin(),)), Flatten("flatten"))),))
    with pytest.raises(SpecError, match="mean reads the whole map inside inner"):
        dense(net)


def inner_twin():
    return branch("twin", (pool("third", kernel=4),), (pool("fourth", kernel=4),))


def test_batch_norm_of_a_flat_map_is_refused():
    body = (Flatten("flatten"), BatchNorm("bn"), Linear("fc", 2))
    with pytest.raises(SpecError, match="bn normalises each place of a flat map"):
        dense(Network("n", (1, 2, 2), (Block("b", body),)))


def test_batch_norm_of_a_flat_vector_stays():
    body = (Flatten("flatten"), Linear("fc1", 3), BatchNorm("bn"), Linear("fc2", 2))
    net = Network("n", (1, 2, 2), (Block("b", body),))
    weights = sample_weights(net)
    x = images(2, 1, 2, 2)
    cells = run(build(dense(net), dense_weights(net, weights)).eval(), x)
    assert error(cells[:, :, 0, 0], run(build(net, weights).eval(), x)) <= CLOSE


@pytest.mark.parametrize("name", ["lenet5", "alexnet", "nin", "googlenet_bn", "resnet18", "mnist_cnn"])
def test_a_dense_network_equals_the_original_at_its_own_size(name):
    net = network(name, width=0.25)
    weights = sample_weights(net)
    x = images(2, *net.input)
    logits = run(build(net, weights).eval(), x)
    cells = run(build(dense(net), dense_weights(net, weights)).eval(), x)
    assert cells.shape == (2, net.classes, 1, 1)
    assert error(cells[:, :, 0, 0], logits) <= CLOSE


def test_dense_column_d_equals_column_d_at_224(column_d):
    net, weights = column_d
    x = images(1, 3, 224, 224)
    logits = run(build(net, weights).eval(), x)
    cells = run(build(dense(net), dense_weights(net, weights)).eval(), x)
    assert error(cells[:, :, 0, 0], logits) <= CLOSE  # 1.5e-6 measured on x86 with torch 2.15


def test_dense_column_d_averaged_over_space_equals_timm_at_256x341(column_d):
    net, weights = column_d
    turned = dense_weights(net, weights)
    keys = names(net) | {
        f"{ours}.{array}": f"{theirs}.{array}"
        for ours, theirs in (("fc6", "pre_logits.fc1"), ("fc7", "pre_logits.fc2"), ("fc8", "head.fc"))
        for array in ("weight", "bias")
    }
    with torch.device("meta"):
        other = timm.create_model("vgg16", pretrained=False).eval()
    arrays = turned | {"fc8.weight": weights["fc8.weight"]}  # timm's fc1 and fc2 are convolutions, its last is not
    other.load_state_dict({keys[name]: torch.from_numpy(array) for name, array in arrays.items()}, assign=True)
    x = images(1, 3, 256, 341)
    scores = run(build(dense(net), turned).eval(), x)
    assert scores.shape[1:] == resize(dense(net), (3, 256, 341)).output.shape == (1000, 2, 4)
    assert error(scores.mean((2, 3)), run(other, x)) <= CLOSE  # 6.0e-7 measured on x86 with torch 2.15


def test_a_cell_equals_the_same_cell_of_any_aligned_crop_that_holds_its_receptive_field(thin_d):
    net, model = thin_d
    field = dense(net).output
    x = images(1, 3, 640, 640)
    whole = run(model, x)
    row, column = 5, 6
    top, left = (field.origin[axis] + field.step[axis] * (row, column)[axis] for axis in (0, 1))
    first = (top // 32 * 32, left // 32 * 32)  # the last multiples of the step at or before the field
    crop = x[:, :, first[0] : top + field.receptive_field[0], first[1] : left + field.receptive_field[1]]
    cells = run(model, crop)
    inside = (row - first[0] // 32, column - first[1] // 32)
    assert error(cells[0, :, inside[0], inside[1]], whole[0, :, row, column]) <= CLOSE


def test_one_step_less_of_the_receptive_field_is_not_enough(thin_d):
    net, model = thin_d
    field = dense(net).output
    x = images(1, 3, 640, 640)
    whole = run(model, x)
    top, left = (field.origin[axis] + 32 * 5 for axis in (0, 1))
    first = (top // 32 * 32 + 32, left // 32 * 32 + 32)
    crop = x[:, :, first[0] : top + field.receptive_field[0], first[1] : left + field.receptive_field[1]]
    inside = 5 - first[0] // 32
    assert error(run(model, crop)[0, :, inside, inside], whole[0, :, 5, 5]) > 100 * CLOSE


def test_a_crop_off_the_step_gives_other_logits(thin_d):
    _, model = thin_d
    x = images(1, 3, 640, 640)
    assert error(run(model, x[:, :, 65:481, 64:480])[0, :, 3, 3], run(model, x)[0, :, 5, 5]) > 100 * CLOSE


def test_with_padding_the_crop_of_224_under_an_interior_cell_is_not_that_cell(thin_d):
    _, model = thin_d
    x = images(1, 3, 640, 640)
    cell = run(model, x)[0, :, 6, 6]
    crop = run(model, x[:, :, 192 : 192 + 224, 192 : 192 + 224])[0, :, 0, 0]
    assert error(crop, cell) > 100 * CLOSE


def test_without_padding_every_cell_equals_the_crop_under_it():
    net = network("mnist_cnn")
    assert all(step.layer.padding == ((0, 0), (0, 0)) for step in walk(net) if isinstance(step.layer, Conv))
    weights = sample_weights(net)
    model = build(net, weights).eval()
    x = images(1, 1, 40, 36)
    cells = run(build(dense(net), dense_weights(net, weights)).eval(), x)
    field = dense(net).output
    assert (field.receptive_field, field.step, field.origin, cells.shape[2:]) == ((28, 28), (4, 4), (0, 0), (4, 3))
    for row in range(4):
        for column in range(3):
            crop = x[:, :, 4 * row : 4 * row + 28, 4 * column : 4 * column + 28]
            assert error(cells[:, :, row, column], run(model, crop)) <= CLOSE
