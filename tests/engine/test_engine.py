"""The engine computes what the reference says, whatever the size, the batch, memory, threads and the process."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch

import verydeep as vd
from tests.engine.nets import FAMILIES, ODD, OTHERS, error, images, layers, net, reference, weights
from verydeep.backends import numpy_reference
from verydeep.backends.check import TOLERANCE, sample_weights
from verydeep.backends.pytorch import Layout, build
from verydeep.engine import calls
from verydeep.engine import calls as calls_file
from verydeep.engine import engine as engine_file
from verydeep.errors import ConfigError, SpecError, WeightsError
from verydeep.rewrite.cut import resize
from verydeep.rewrite.dense import dense, dense_weights
from verydeep.spec import BatchNorm, Block, Flatten, Linear, Network, ReLU

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.usefixtures("compiled")


@pytest.fixture(scope="module")
def engine():
    """A thin column D for 64x48, classes on a map of 1x1."""
    network = thin()
    return vd.Engine(network, weights_of(network), threads=2)


def thin():
    return vd.network("vgg16", input=(3, 64, 48), width=1 / 8, fc=(48, 40), classes=10)


weights_of = sample_weights


def check_every_layer(name: str) -> None:
    network, expected = net(name), reference(name)
    engine = vd.Engine(network, weights(name))
    batch = images((2, *network.input))
    found = engine.features(batch, layers(network))
    for layer, output in expected.items():
        assert found[layer].shape == output.shape
        assert error(found[layer], output) <= TOLERANCE, layer
    last = layers(network)[-1]
    assert error(engine(batch), expected[last]) <= TOLERANCE
    assert all(step.kernel != "pytorch" for step in engine.describe(batch.shape))


@pytest.mark.parametrize("name", [*ODD, *FAMILIES])
def test_every_layer_of_every_family_is_what_the_reference_says(name):
    check_every_layer(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_every_layer_of_every_other_network_is_what_the_reference_says(name):
    check_every_layer(name)


@pytest.mark.parametrize("taps", [("conv3_3",), ("relu3_3",), ("pool3", "conv3_3"), ("fc7", "relu1_2")])
def test_some_layers_alone_are_what_they_are_among_all(engine, taps):
    batch = images((2, 3, 64, 48))
    every = engine.features(batch, layers(engine.network))
    found = engine.features(batch, taps)
    assert tuple(found) == taps
    for name in taps:
        assert error(found[name], every[name]) <= 1e-6


@pytest.mark.parametrize("size", [(64, 48), (65, 79), (97, 64), (131, 70)])
@pytest.mark.parametrize("name", ["vgg16", "vgg11_lrn", "googlenet", "resnet18"])
def test_a_dense_network_takes_any_rectangle(name, size):
    original = net(name) if name != "vgg16" else thin()
    full, arrays = dense(original), dense_weights(original, weights_of(original))
    rectangle = tuple(max(one, other) for one, other in zip(size, original.input[1:], strict=True))
    batch = images((1, 3, *rectangle))
    expected = numpy_reference.run(resize(full, (3, *rectangle)), arrays, batch)["output"]
    found = vd.Engine(full, arrays)(batch)
    assert found.shape == expected.shape
    assert error(found, expected) <= TOLERANCE


@pytest.mark.parametrize("name", ["vgg16", "vgg13_bn", "googlenet", "resnet20_cifar", "alexnet_2012"])
def test_an_image_has_the_same_bits_alone_and_in_any_batch(name):
    engine, batch = vd.Engine(net(name), weights(name)), images((7, *net(name).input))
    whole = engine(batch)
    assert np.array_equal(engine(batch[:2]), whole[:2])
    assert np.array_equal(np.concatenate([engine(batch[number : number + 1]) for number in range(7)]), whole)


@pytest.mark.parametrize("name", ["vgg16", "googlenet_bn", "resnet20_cifar", "alexnet_2012"])
def test_first_layers_that_take_image_after_image_give_the_same_bits(name, monkeypatch):
    network, batch = net(name), images((5, *net(name).input))
    taps = layers(network)[::3]
    whole = vd.Engine(network, weights(name)).features(batch, taps)
    with monkeypatch.context() as patch:
        patch.setattr(calls_file, "CACHED", 1)
        heads = []
        patch.setattr(
            calls_file, "_head", lambda plan, n, head=calls_file._head: heads.append(head(plan, n)) or heads[-1]
        )
        parted = vd.Engine(network, weights(name))
        assert all(np.array_equal(whole[tap], found) for tap, found in parted.features(batch, taps).items())
        assert np.array_equal(parted(torch.tensor(batch)).numpy(), vd.Engine(network, weights(name))(batch))
    assert max(heads) > 1


def test_a_large_batch_is_computed_in_parts_of_the_same_bits(engine, monkeypatch):
    batch = images((7, 3, 64, 48))
    whole, space = engine(batch), engine.map_bytes(batch.shape)
    monkeypatch.setattr(engine_file, "MOST_BYTES", 1)
    assert engine.map_bytes(batch.shape) < space
    assert np.array_equal(engine(batch), whole)


@pytest.mark.parametrize(("precision", "most"), [("bf16", 1e-2), ("int8", 3e-2)])
@pytest.mark.parametrize("name", ["vgg11", "vgg16_bn", "googlenet_bn", "resnet18"])
def test_fewer_bits_give_nearly_the_same(name, precision, most):
    batch = images((3, *net(name).input))
    exact = vd.Engine(net(name), weights(name))(batch)
    found = vd.Engine(net(name), weights(name), precision=precision)(batch)
    assert 0 < np.abs(found - exact).max() <= most * np.abs(exact).max()


@pytest.mark.parametrize("precision", ["float32", "bf16", "int8"])
@pytest.mark.parametrize("name", ["conv2_1.weight", "fc3.weight"])
def test_a_weight_that_is_no_number_is_seen_in_the_logits(name, precision):
    network = vd.vgg(((1, 24), (2, 40)), input=(3, 16, 16), classes=10, fc=(32,))
    arrays = {key: array.copy() for key, array in sample_weights(network).items()}
    arrays[name].flat[5] = np.nan
    assert np.isnan(vd.Engine(network, arrays, precision=precision)(images((2, 3, 16, 16)))).all()


def test_tiny_numbers_keep_their_sign_and_size_in_16_bits():
    network = vd.cut(vd.vgg(((1, 32), (1, 256), (1, 32)), input=(3, 16, 16), classes=10), "conv3_1")
    arrays = {
        key: np.zeros_like(array) if key.endswith("bias") else np.abs(array)
        for key, array in weights_of(network).items()
    }
    batch = np.full((1, 3, 16, 16), 1e-24, np.float32)
    exact, found = (vd.Engine(network, arrays, precision=precision)(batch) for precision in ("float32", "bf16"))
    assert np.abs(found - exact).max() <= 1e-2 * np.abs(exact).max()


@pytest.mark.parametrize("name", ["vgg13_bn", "googlenet_bn", "vgg16"])
def test_weights_may_lie_with_channels_last(name):
    batch = images((2, *net(name).input))
    models = [vd.build(net(name), weights=weights(name), layout=order).eval() for order in get_args(Layout)]
    first, last = (vd.Engine.of(model)(batch) for model in models)
    assert np.array_equal(first, last)


@pytest.mark.parametrize("name", ["vgg16", "googlenet", "resnet50", "lenet5"])
def test_the_bits_do_not_depend_on_the_number_of_threads(name):
    batch = images((3, *net(name).input))
    one, *others = (vd.Engine(net(name), weights(name), threads=threads)(batch) for threads in (1, 2, 3, 8))
    assert all(np.array_equal(one, other) for other in others)


def test_images_may_lie_in_memory_in_any_way(engine):
    batch = images((2, 3, 64, 48))
    expected = engine(batch)
    wide = np.zeros((4, 3, 70, 60), np.float32)
    wide[::2, :, 3:67, 5:53] = batch
    bytes_off = np.zeros(batch.nbytes + 1, np.uint8)[1:].view(np.uint8)
    unaligned = np.ndarray(batch.shape, np.float32, bytes_off)
    unaligned[...] = batch
    assert not unaligned.flags.aligned
    one_float_off = np.zeros(batch.size + 1, np.float32)[1:].reshape(batch.shape)
    one_float_off[...] = batch
    for other in (
        np.ascontiguousarray(batch.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2),
        np.asfortranarray(batch),
        wide[::2, :, 3:67, 5:53],
        np.ascontiguousarray(batch[:, :, ::-1])[:, :, ::-1],
        unaligned,
        one_float_off,
    ):
        assert np.array_equal(engine(other), expected)
    tensor = torch.tensor(batch)
    for other in (tensor, tensor.contiguous(memory_format=torch.channels_last), tensor.transpose(2, 3).contiguous().mT):
        assert np.array_equal(engine(other).numpy(), expected)


def test_arrays_give_arrays_and_tensors_give_tensors_without_gradients(engine):
    batch = images((2, 3, 64, 48))
    assert type(engine(batch)) is np.ndarray
    found = engine(torch.tensor(batch, requires_grad=True))
    assert type(found) is torch.Tensor
    assert not found.requires_grad
    maps = engine.features(torch.tensor(batch), "relu3_3")["relu3_3"]
    assert maps.is_contiguous(memory_format=torch.channels_last)


def test_images_are_not_written_to_and_results_are_not_written_over(engine):
    batch = torch.tensor(images((2, 3, 64, 48))).contiguous(memory_format=torch.channels_last)
    before = batch.clone()
    first = engine.features(batch, ("conv1_1", "fc8"))
    kept = {name: tensor.clone() for name, tensor in first.items()}
    engine.features(torch.randn(2, 3, 64, 48), ("conv1_1", "fc8"))
    assert torch.equal(batch, before)
    assert all(torch.equal(first[name], kept[name]) for name in kept)


def test_no_image_gives_no_row(engine):
    assert engine(np.zeros((0, 3, 64, 48), np.float32)).shape == (0, 10)
    assert engine.features(torch.zeros(0, 3, 64, 48), "pool1")["pool1"].shape == (0, 8, 32, 24)


def test_no_layers_are_no_features(engine):
    assert engine.features(images((1, 3, 64, 48)), ()) == {}


def test_eight_threads_that_call_at_once_get_the_same_bits():
    network = thin()
    engine = vd.Engine(network, weights_of(network))
    batches = [images((1 + number % 3, 3, 64, 48), seed=number) for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        found = [list(pool.map(engine, batches)) for _ in range(3)]
    alone = [vd.Engine(network, weights_of(network), threads=1)(batch) for batch in batches]
    for one in found:
        assert all(np.array_equal(here, there) for here, there in zip(one, alone, strict=True))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="/proc: this system has no fork")
def test_a_forked_process_computes_on():
    script = """
import multiprocessing, os, sys
import numpy as np
import verydeep as vd
from tests.engine.test_engine import thin, weights_of, images
engine = vd.Engine(thin(), weights_of(thin()), threads=2)
batch = images((2, 3, 64, 48))
here = engine(batch)
def compute(batch):
    return engine(batch)
child = os.fork()
if not child:
    same = np.array_equal(engine(batch), here) and engine.features(batch, "pool2")["pool2"].any()
    os._exit(0 if same else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
context = multiprocessing.get_context("fork")
with context.Pool(2) as pool:
    assert all(np.array_equal(there, here) for there in pool.map(compute, [batch] * 4))
assert np.array_equal(engine(batch), here)
print("done")
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False, cwd=ROOT
    )
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr


def test_a_fork_while_another_thread_makes_a_plan_does_not_wait_for_it():
    held = engine_file._making
    with held:
        child = os.fork()
        if not child:
            network = thin()
            found = vd.Engine(network, weights_of(network), threads=1)(images((1, 3, 64, 48)))
            os._exit(0 if np.isfinite(found).all() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_what_is_not_finite_in_one_image_stays_there_and_is_seen_in_its_result(engine):
    batch = images((3, 3, 64, 48))
    expected = engine(batch)
    for value in (np.nan, np.inf, -np.inf):
        spoiled = batch.copy()
        spoiled[1, :, 20, 20] = value
        found = engine(spoiled)
        assert np.array_equal(found[[0, 2]], expected[[0, 2]])
        theirs = build(engine.network, weights_of(engine.network)).eval()(torch.tensor(spoiled)).detach().numpy()
        assert np.array_equal(np.isfinite(found), np.isfinite(theirs))


def test_denormal_and_huge_numbers_are_computed(engine):
    batch = images((1, 3, 64, 48))
    expected = engine(batch * np.float32(2**-10))
    assert np.isfinite(engine(batch * np.float32(1e-40))).all()
    assert error(engine(batch * np.float32(1e20)), engine(batch * np.float32(1e18)) * 100.0) <= 1e-3
    assert np.isfinite(expected).all()


def test_bf16_weights_are_within_a_hundredth(engine):
    batch = images((2, 3, 64, 48))
    half = vd.Engine(engine.network, weights_of(engine.network), precision="bf16")
    assert half.name == engine.name.replace("float32", "bf16")
    assert 1e-6 < error(half(batch), engine(batch)) <= 1e-2


@pytest.mark.parametrize("precision", ["float32", "bf16", "int8"])
def test_a_linear_layer_before_a_batch_norm_may_be_read_alone_first(precision):
    layers = (Flatten("flat"), Linear("fc", 6), BatchNorm("bn"), ReLU("relu"), Linear("last", 3))
    network = Network("normed", (2, 5, 5), (Block("head", layers),))
    images = torch.rand(2, 2, 5, 5)
    engine = vd.Engine(network, weights_of(network), precision=precision)
    engine.features(images, "fc")
    assert torch.equal(engine(images), vd.Engine(network, weights_of(network), precision=precision)(images))


def test_a_call_that_was_interrupted_while_it_pointed_leaves_nothing_behind(monkeypatch):
    network = vd.vgg(((1, 4),), input=(1, 8, 8), classes=3, fc=(5,))
    engine, images = vd.Engine(network, weights_of(network)), torch.rand(2, 1, 8, 8)
    expected = engine(images)
    here, there = torch.zeros(2, 3), torch.zeros(2, 3)
    results = [here, there, here]
    monkeypatch.setattr(engine_file, "_empty", lambda shape: results.pop(0))
    engine(images)
    here.zero_()
    real = calls._Place.point

    def interrupted(place, bases):
        real(place, bases)
        if there.data_ptr() in bases and place.buffer == bases.index(there.data_ptr()):
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(calls._Place, "point", interrupted)
        engine(images)
    engine(images)
    assert torch.equal(here, expected)
    assert not there.any()


def test_linear_weights_stay_where_the_caller_has_them(engine, tmp_path):
    arrays = weights_of(engine.network)
    for name in ("fc6.weight", "conv1_1.weight"):
        np.save(tmp_path / f"{name}.npy", arrays[name])
        arrays[name] = np.load(tmp_path / f"{name}.npy", mmap_mode="r")
    mapped = vd.Engine(engine.network, arrays)
    batch = images((2, 3, 64, 48))
    assert np.array_equal(mapped(batch), engine(batch))
    owned = weights_of(engine.network)
    shared = vd.Engine(engine.network, owned)
    before = shared(batch)
    owned["fc8.weight"] *= 2
    owned["fc8.bias"] *= 2
    assert np.array_equal(shared(batch), 2 * before)


def test_an_engine_of_a_model_has_its_weights():
    network = thin()
    model = build(network, weights_of(network), layout="channels_last").eval()
    batch = torch.tensor(images((2, 3, 64, 48)))
    with torch.no_grad():
        assert error(vd.Engine.of(model)(batch), model(batch).numpy()) <= TOLERANCE
    for wrong in (model.double(), build(network, weights_of(network)).to("meta")):
        with pytest.raises(ConfigError, match="and the engine computes float32 on the CPU") as refused:
            vd.Engine.of(wrong)
        assert refused.value.code == "ENGINE-MODEL"
    with pytest.raises(ConfigError, match="this Linear was not built"):
        vd.Engine.of(torch.nn.Linear(2, 2))


def test_the_steps_are_described_with_layers_kernel_and_shape(engine):
    steps = engine.describe((5, 3, 64, 48))
    assert [str(step) for step in (steps[1], steps[-1])] == [
        f"conv1_2+relu1_2+pool1: {steps[1].kernel}, 5x8x32x24",
        "fc8: product, 5x10x1x1",
    ]
    assert [step.layers for step in engine.describe((1, 3, 64, 48), "relu1_1")] == [("conv1_1", "relu1_1")]


def test_the_name_says_what_decides_the_bits(engine):
    assert engine.name == f"verydeep {engine_file.library.active()} float32"
    assert engine.threads == 2
    assert vd.Engine(engine.network, weights_of(engine.network)).threads == torch.get_num_threads()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (np.zeros((1, 3, 64, 48)), "images are float32, not float64"),
        (np.zeros((1, 3, 64, 48), ">f4"), "images are float32, not >f4"),
        (torch.zeros(1, 3, 64, 48, dtype=torch.bfloat16), "images are float32, not torch.bfloat16"),
        (np.zeros((3, 64, 48), np.float32), r"images are \(n, 3, height, width\), not \(3, 64, 48\)"),
        (np.zeros((1, 64, 48, 3), np.float32), r"images are \(n, 3, height, width\), not \(1, 64, 48, 3\)"),
        (torch.zeros(1, 3, 64, 48, device="meta"), "in the CPU's memory, not on meta"),
        (torch.zeros(1, 3, 64, 48).to_sparse(), "images are dense"),
        ([[1.0]], "images are a tensor or an array, not list"),
    ],
)
def test_what_are_no_images_is_refused_in_one_line(engine, wrong, said):
    with pytest.raises(ConfigError, match=said) as refused:
        engine(wrong)
    assert refused.value.code == "ENGINE-IMAGES"
    assert refused.value.hint


def test_a_size_that_the_network_does_not_take_is_refused(engine):
    with pytest.raises(ConfigError, match=r"takes images of 64x48, not of 96x96. Take its dense form") as refused:
        engine(images((1, 3, 96, 96)))
    assert refused.value.code == "SIZE-FIXED"
    with pytest.raises(SpecError, match="pool5: a window of 2 does not fit"):
        engine(images((1, 3, 20, 20)))
    assert engine(images((1, 3, 65, 49))).shape == (1, 10)  # the pools round it down to the same


@pytest.mark.parametrize("size", [(96, 80), (21, 35), (64, 48)])
def test_maps_before_a_linear_layer_are_of_images_of_any_size(engine, size):
    batch, taps = images((2, 3, *size)), ("relu2_1", "conv1_1", "pool3")
    model = build(thin(), weights_of(thin())).eval()
    found, expected = engine.features(batch, taps), vd.features(model, torch.tensor(batch), taps, engine="pytorch")
    for name in taps:
        assert error(found[name], expected[name].numpy()) <= TOLERANCE
    with pytest.raises(ConfigError, match="takes images of 64x48") as refused:
        engine.features(images((2, 3, 96, 80)), ("relu2_1", "fc6"))
    assert refused.value.code == "SIZE-FIXED"


def test_what_the_engine_does_not_have_is_refused(engine):
    network, arrays = engine.network, weights_of(engine.network)
    with pytest.raises(ConfigError, match="vgg16 has no layer 'conv9_9'"):
        engine.features(images((1, 3, 64, 48)), "conv9_9")
    with pytest.raises(ConfigError, match=r"precision is 'int4'. Choose float32 or bf16 or int8"):
        vd.Engine(network, arrays, precision="int4")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="threads must be 1 or more, got 0"):
        vd.Engine(network, arrays, threads=0)
    with pytest.raises(WeightsError, match=r"missing: fc8.bias"):
        vd.Engine(network, {name: array for name, array in arrays.items() if name != "fc8.bias"})
