"""What calibration says of a network, and what an engine computes that was told."""

import numpy as np
import pytest
import torch

import verydeep as vd
from tests.engine.nets import error, images, net, weights
from verydeep.backends.check import sample_weights
from verydeep.engine import calibrate as calibrate_file
from verydeep.errors import ConfigError
from verydeep.spec import walk

pytestmark = pytest.mark.usefixtures("compiled")


@pytest.fixture(scope="module")
def small():
    """A 3x3 convolution, and a 1x1 one behind its ReLU."""
    layers = (
        vd.Block("conv1", (vd.conv("conv1_1", 24, padding=1), vd.ReLU("relu1_1"))),
        vd.Block("conv2", (vd.conv("conv2_1", 40, kernel=1),)),
    )
    return vd.Network("small", (3, 12, 10), layers)


def ranges_of(name):
    return vd.calibrate(net(name), weights(name), images((6, *net(name).input), seed=2))


def test_every_convolution_behind_a_relu_has_a_range_and_no_other():
    convolutions = [step.layer.name for step in walk(net("vgg16")) if isinstance(step.layer, vd.Conv)]
    assert list(ranges_of("vgg16")) == convolutions[1:]  # the first reads images
    assert ranges_of("lenet5") == {}  # behind a tanh
    assert len(ranges_of("resnet18")) == 19  # all but the first: sums end in a ReLU


def loss(inputs, largest):
    """The squared error of levels up to `largest`."""
    unit = largest / 255
    return ((np.minimum(np.rint(inputs / unit), 255) * unit - inputs) ** 2).mean()


def best_loss(inputs):
    return min(loss(inputs, inputs.max() * share) for share in np.geomspace(0.01, 1, 100))


def test_the_range_loses_least_of_what_the_images_give():
    batch = images((6, *net("vgg16").input), seed=2)
    ranges = vd.calibrate(net("vgg16"), weights("vgg16"), batch)
    for conv, tap in {"conv1_2": "relu1_1", "conv3_1": "pool2", "conv5_3": "relu5_2"}.items():
        inputs = vd.Engine(net("vgg16"), weights("vgg16")).features(batch, tap)[tap].astype(np.float64)
        assert loss(inputs, ranges[conv]) <= 1.05 * best_loss(inputs)
        assert ranges[conv] <= inputs.max()


def test_images_may_be_a_tensor_and_one_at_a_time_gives_the_same(monkeypatch):
    batch = images((6, *net("vgg11").input), seed=2)
    together = vd.calibrate(net("vgg11"), weights("vgg11"), batch)
    monkeypatch.setattr(calibrate_file, "AT_ONCE", 1)
    assert vd.calibrate(net("vgg11"), weights("vgg11"), torch.tensor(batch), threads=1) == together


def test_a_rare_giant_does_not_take_the_levels_of_all_the_others(small):
    arrays, batch = sample_weights(small), images((1000, 3, 12, 10)).copy()
    batch[0, :, 5, 5] *= 100
    inputs = vd.Engine(small, arrays).features(batch, "relu1_1")["relu1_1"].astype(np.float64)
    largest = vd.calibrate(small, arrays, batch)["conv2_1"]
    assert loss(inputs, largest) <= 1.05 * best_loss(inputs)
    assert largest < 0.8 * inputs.max()


def test_only_convolutions_that_gain_by_it_compute_with_8_bits():
    network = vd.Network(
        "narrowing",
        (3, 20, 20),
        (
            vd.Block("conv1", (vd.conv("conv1_1", 256, padding=1), vd.ReLU("relu1_1"))),
            vd.Block(
                "conv2", (vd.conv("wide", 256, kernel=1), vd.ReLU("relu2_1"), vd.conv("narrow", 1, kernel=1, stride=4))
            ),
        ),
    )
    ranges = {"wide": 3.0, "narrow": 3.0}
    engine = vd.Engine(network, sample_weights(network), precision="int8", ranges=ranges)
    assert [step.kernel for step in engine.describe((1, 3, 20, 20))][1:] == ["direct, int8", "direct"]


def test_products_of_8_bits_are_those_of_the_nearest_integers(small):
    arrays, batch = sample_weights(small), images((2, 3, 12, 10))
    engine = vd.Engine(small, arrays, precision="int8", ranges={"conv2_1": 1.5})
    found = engine.features(batch, ("relu1_1", "conv2_1"))
    assert [step.kernel for step in engine.describe(batch.shape)][-1] == "direct, int8"
    levels = np.rint(np.clip(found["relu1_1"].astype(np.float64) * (255 / 1.5), 0, 255))
    matrix = arrays["conv2_1.weight"][:, :, 0, 0].astype(np.float64)
    units = np.abs(matrix).max(1) / 127
    sums = np.einsum("kc,nchw->nkhw", np.rint(matrix / units[:, None]), levels)
    wanted = sums * (units * 1.5 / 255)[:, None, None] + arrays["conv2_1.bias"][:, None, None]
    assert error(found["conv2_1"], wanted) <= 1e-6


@pytest.mark.parametrize(
    ("name", "most"), [("resnet50", 4e-2), ("googlenet", 4e-2), ("nin", 6e-2), ("alexnet_2012", 3e-2)]
)
def test_a_calibrated_network_gives_nearly_the_same(name, most):
    batch = images((3, *net(name).input))
    exact = vd.Engine(net(name), weights(name))(batch)
    engine = vd.Engine(net(name), weights(name), precision="int8", ranges=ranges_of(name))
    assert "direct, int8" in [step.kernel for step in engine.describe(batch.shape)]
    assert error(engine(batch), exact) <= most
    assert not np.array_equal(engine(batch), vd.Engine(net(name), weights(name), precision="int8")(batch))


@pytest.mark.parametrize("name", ["resnet50", "nin"])
def test_the_bits_depend_on_neither_the_batch_nor_the_threads(name):
    batch, ranges = images((5, *net(name).input)), ranges_of(name)
    whole = vd.Engine(net(name), weights(name), precision="int8", ranges=ranges, threads=1)(batch)
    engine = vd.Engine(net(name), weights(name), precision="int8", ranges=ranges, threads=3)
    assert np.array_equal(engine(batch), whole)
    assert np.array_equal(np.concatenate([engine(batch[number : number + 1]) for number in range(5)]), whole)


def test_what_is_not_finite_stays_in_its_image():
    batch = images((3, *net("nin").input)).copy()
    batch[1, 0, 5, 5] = np.nan
    found = vd.Engine(net("nin"), weights("nin"), precision="int8", ranges=ranges_of("nin"))(batch)
    assert list(np.isnan(found).any(1)) == [False, True, False]


def test_a_calibrated_engine_is_a_module_that_is_exported(tmp_path):
    engine = vd.Engine(
        net("resnet20_cifar"), weights("resnet20_cifar"), precision="int8", ranges=ranges_of("resnet20_cifar")
    )
    batch = torch.tensor(images((2, *net("resnet20_cifar").input)))
    assert any(step.kernel == "direct, int8" for step in engine.describe(tuple(batch.shape)))
    assert error(engine.module()(batch), engine(batch).numpy()) <= 1e-6
    torch.export.save(torch.export.export(engine.module(), (batch,)), tmp_path / "engine.pt2")
    again = torch.export.load(tmp_path / "engine.pt2").module()
    assert torch.equal(again(batch), engine.module()(batch))


@pytest.mark.parametrize(
    ("ranges", "said"),
    [
        ({"conv2_1": 0.0}, "that of conv2_1 is 0.0, no number from 1e-30 to 1e"),
        ({"conv2_1": float("nan")}, "that of conv2_1 is nan"),
        ({"conv2_1": float("inf")}, "that of conv2_1 is inf"),
        ({"conv2_1": "1.5"}, "that of conv2_1 is '1.5'"),
        ({"conv2_1": True}, "that of conv2_1 is True"),
        ({"conv2_l": 1.0}, "no convolution 'conv2_l' whose inputs cannot be negative.*conv2_1"),
        ({"relu1_1": 1.0}, "no convolution 'relu1_1'"),
        ({"conv1_1": 1.0}, "no convolution 'conv1_1' whose inputs cannot be negative"),
        ([("conv2_1", 1.0)], "a mapping from layers to numbers, not list"),
        ("ranges.json", "a mapping from layers to numbers, not str.*json.load"),
    ],
)
def test_ranges_of_something_else_are_refused(small, ranges, said):
    with pytest.raises(ConfigError, match=said) as refused:
        vd.Engine(small, sample_weights(small), precision="int8", ranges=ranges)
    assert refused.value.code == "OPTION-VALUE"


def test_ranges_are_refused_where_nothing_reads_them(small):
    with pytest.raises(ConfigError, match="ranges are for precision int8, not for bf16"):
        vd.Engine(small, sample_weights(small), precision="bf16", ranges={"conv2_1": 1.0})


def test_images_that_say_nothing_are_refused(small):
    arrays = sample_weights(small)
    with pytest.raises(ConfigError, match="there are no images to calibrate with") as none:
        vd.calibrate(small, arrays, np.zeros((0, 3, 12, 10), np.float32))
    with pytest.raises(ConfigError, match="the output of relu1_1 is infinite or NaN") as odd:
        vd.calibrate(small, arrays, np.full((2, 3, 12, 10), np.nan, np.float32))
    assert none.value.code == odd.value.code == "CALIBRATION-IMAGES"
    with pytest.raises(ConfigError, match="images are float32, not float64"):
        vd.calibrate(small, arrays, np.zeros((1, 3, 12, 10)))


def test_numbers_too_small_for_levels_have_no_range(small):
    arrays = sample_weights(small)
    tiny = {name: array * np.float32(1e-34) if "conv1_1" in name else array for name, array in arrays.items()}
    assert vd.calibrate(small, tiny, images((2, 3, 12, 10))) == {}


def test_a_layer_that_sees_only_zeros_has_no_range(small):
    arrays = sample_weights(small) | {"conv1_1.bias": np.full(24, -100, np.float32)}
    assert vd.calibrate(small, arrays, images((2, 3, 12, 10))) == {}
