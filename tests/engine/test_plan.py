"""Networks lowered to steps: what is fused, where it lies, and that no step reads what another has written over."""

import random
from dataclasses import replace

import numpy as np
import pytest

from tests.engine.nets import FAMILIES, ODD, layers, net
from verydeep.engine.plan import Plan, View, lower
from verydeep.families.catalog import network
from verydeep.rewrite.cut import resize
from verydeep.rewrite.dense import dense
from verydeep.spec import Block, Conv, Dropout, Flatten, Linear, Network, ReLU, branch, conv, pool, residual


def winograd(layer: Conv, x: object, y: object) -> int:
    del x, y
    return 4 if layer.kernel == (3, 3) and layer.stride == (1, 1) and layer.groups == 1 else 0


def direct(layer: Conv, x: object, y: object) -> int:
    del layer, x, y
    return 0


def plan(of: Network, *taps: str, method=winograd) -> Plan:
    return lower(of, taps or (layers(of)[-1],), method=method)


def said(found: Plan) -> list[str]:
    """The steps, each as the kernel and the layers."""
    return [f"{step.kernel} {'+'.join(layer.name for layer in step.layers)}" for step in found.steps]


def small(*body, input=(4, 9, 8)) -> Network:
    return Network("small", input, (Block("body", body),))


def test_a_block_of_column_d_is_a_step_for_each_convolution_with_its_relu_and_pool():
    assert said(plan(network("D"))) == [
        "convolution conv1_1+relu1_1",
        "convolution conv1_2+relu1_2+pool1",
        "convolution conv2_1+relu2_1",
        "convolution conv2_2+relu2_2+pool2",
        *("convolution conv3_1+relu3_1", "convolution conv3_2+relu3_2", "convolution conv3_3+relu3_3+pool3"),
        *("convolution conv4_1+relu4_1", "convolution conv4_2+relu4_2", "convolution conv4_3+relu4_3+pool4"),
        *("convolution conv5_1+relu5_1", "convolution conv5_2+relu5_2", "convolution conv5_3+relu5_3+pool5"),
        *("planes flatten", "product fc6+relu6", "product fc7+relu7", "product fc8"),
    ]


def test_a_direct_convolution_leaves_the_pool_a_step_of_its_own():
    assert said(plan(network("D"), method=direct))[1:3] == ["convolution conv1_2+relu1_2", "pool pool1"]


def test_what_is_tapped_is_not_fused_away_and_nothing_behind_the_deepest_tap_is_computed():
    assert said(plan(network("D"), "conv3_3"))[-2:] == ["convolution conv3_2+relu3_2", "convolution conv3_3"]
    assert said(plan(network("D"), "relu3_3"))[-1] == "convolution conv3_3+relu3_3"
    assert said(plan(network("D"), "conv3_3", "relu3_3", "pool3"))[-3:] == [
        "convolution conv3_3",
        "affine relu3_3",
        "pool pool3",
    ]
    assert said(plan(network("D"), "relu1_1")) == ["convolution conv1_1+relu1_1"]


def test_batch_norm_is_folded_unless_the_layer_before_it_is_tapped():
    assert said(plan(network("D_bn"), "pool1"))[0] == "convolution conv1_1+bn1_1+relu1_1"
    assert said(plan(network("D_bn"), "conv1_1", "relu1_1")) == ["convolution conv1_1", "affine bn1_1+relu1_1"]


def test_a_residual_unit_adds_in_the_last_convolution_of_its_body():
    assert said(plan(network("resnet18"), "relu3_1"))[-3:] == [
        "convolution conv3_1a+bn3_1a+relu3_1a",
        "convolution conv3_1s+bn3_1s",
        "convolution conv3_1b+bn3_1b+add3_1+relu3_1",
    ]
    assert {step.kernel for step in plan(network("resnet50")).steps} == {"convolution", "pool", "product"}


def test_a_concatenation_costs_nothing():
    kernels = {step.kernel for step in plan(network("googlenet")).steps}
    assert kernels == {"convolution", "pool", "lrn", "product"}


def test_what_cannot_be_written_into_its_place_is_copied_there():
    twice = small(branch("both", (), ()), conv("conv", 3))
    assert said(plan(twice)) == ["copy both", "copy both", "convolution conv"]
    tapped = small(branch("both", (conv("a", 2, kernel=1),), (conv("b", 2, kernel=1),)))
    assert said(plan(tapped)) == ["convolution a", "convolution b"]
    assert said(plan(tapped, "a", "both")) == ["convolution a", "convolution b", "copy both"]


def test_the_new_channels_of_a_shortcut_are_zeros_around_what_its_pool_writes():
    found = said(plan(network("resnet20_cifar"), "pad3_1s"))
    assert found[-3:] == ["pool pool3_1s", "zeros pad3_1s", "zeros pad3_1s"]


def test_three_paths_are_added_two_at_a_time_and_the_relu_comes_last():
    paths = ((conv("a", 4, kernel=1),), (), (ReLU("r"),))
    three = small(replace(residual("sum", paths[0]), paths=paths), ReLU("relu"))
    steps = plan(three).steps
    assert [(step.kernel, step.relu) for step in steps if step.kernel == "add"] == [("add", False), ("add", True)]
    assert steps[-1].reads[0] == steps[-1].writes


def test_a_map_added_to_itself_is_two_reads_of_it():
    same = small(conv("conv", 4, kernel=1), residual("twice", ()))
    *_, last = plan(same).steps
    assert last.kernel == "add"
    assert last.reads[0] == last.reads[1]


def test_dropout_takes_no_step_and_gives_what_it_reads():
    net = small(Dropout("drop0"), conv("conv", 4), Dropout("drop1"), ReLU("relu"), Dropout("drop2"))
    assert said(plan(net)) == ["convolution conv+relu"]
    found = plan(net, "drop0", "drop1", "conv")
    assert said(found) == ["convolution conv", "copy "]
    assert found.outputs["drop1"] == found.outputs["conv"]


def test_a_window_as_large_as_the_map_is_a_product_that_reads_the_weights_where_they_are():
    full = dense(network("D"))
    assert said(plan(full))[-4:] == ["planes fc6+relu6", "product fc6+relu6", "product fc7+relu7", "product fc8"]
    assert said(plan(resize(full, (3, 256, 224))))[-3:] == [
        f"convolution {name}" for name in ("fc6+relu6", "fc7+relu7", "fc8")
    ]


def test_a_map_of_one_pixel_is_flat_as_it_is():
    head = (pool("mean", "average", kernel=None), Flatten("flat"), Linear("fc", 3))
    assert said(plan(small(*head))) == ["pool mean", "product fc"]
    assert said(plan(small(*head), "flat", "mean")) == ["pool mean"]


def test_a_vector_that_is_made_of_a_part_of_a_wider_map_has_a_buffer_of_its_own():
    wide = branch("wide", (), (conv("other", 2, kernel=1),))
    both = branch("both", (wide, Flatten("flat1")), (Flatten("flat2"),))
    net = small(pool("mean", "average", kernel=None), both)
    found = plan(net, "flat2", "both")
    assert "planes flat2" in said(found)
    check_reads(found, n=2)


def test_the_maps_of_column_d_take_the_memory_of_its_largest_map_and_little_more():
    largest = 64 * 224 * 224
    assert largest < plan(network("D")).size < 1.3 * largest


@pytest.mark.parametrize("method", [winograd, direct])
@pytest.mark.parametrize("name", [*ODD, *FAMILIES])
def test_no_step_reads_what_another_has_written_over(name, method):
    names = layers(net(name))
    stream = random.Random(name)
    for taps in ((names[-1],), tuple(names), *(stream.sample(names, k=min(3, len(names))) for _ in range(3))):
        check_reads(lower(net(name), taps, method=method), n=2)


def check_reads(found: Plan, *, n: int) -> None:
    """Run the plan on marks: once with memory of its own for each buffer, once in the shared memory."""
    apart = [np.zeros(n * size, int) for size in found.sizes]
    shared = np.zeros(n * found.size, int)
    together = [
        np.zeros(n * size, int) if offset is None else shared[n * offset : n * (offset + size)]
        for size, offset in zip(found.sizes, found.offsets, strict=True)
    ]
    for memory in (apart, together):
        memory[0][:] = -1
    for number, step in enumerate(found.steps, start=1):
        reads = [*step.reads, *((step.added,) if step.added is not None else ())]
        for view in reads:
            marks = where(view, apart, n=n)
            assert marks.all(), "a step reads what nobody has written"
            assert np.array_equal(marks, where(view, together, n=n))
        if step.writes not in step.reads:
            for view in reads:
                assert not np.shares_memory(where(view, together, n=n), where(step.writes, together, n=n))
        for memory in (apart, together):
            where(step.writes, memory, n=n)[...] = number
    for output in found.outputs.values():
        assert found.offsets[output.buffer] is None
        assert found.sizes[output.buffer] == np.prod(output.shape)
        assert apart[output.buffer].all()


def where(view: View, buffers: list[np.ndarray], *, n: int) -> np.ndarray:
    """The part of a buffer that a view is."""
    channels, height, width = view.shape
    wide = buffers[view.buffer].reshape(n, height, width, view.pixel)
    return wide[..., view.channel : view.channel + channels]
