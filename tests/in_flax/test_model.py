"""A network built for Flax is an ordinary NNX module: names, modes, taps, dropout, transformations, training."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
import optax
import pytest
import torch
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

from verydeep.backends import flax_nnx, numpy_reference, pytorch
from verydeep.backends import flax_nnx_layers as layers
from verydeep.backends.check import narrow, sample_weights
from verydeep.errors import ConfigError, WeightsError
from verydeep.families.catalog import CATALOG
from verydeep.families.vgg import vgg
from verydeep.rewrite.dense import dense, dense_weights
from verydeep.spec import (
    LRN,
    BatchNorm,
    Block,
    Dropout,
    Flatten,
    Layer,
    Linear,
    Network,
    PadChannels,
    Pool,
    ReLU,
    Shape,
    Tanh,
    branch,
    conv,
    pool,
    residual,
    walk,
    weights,
)
from verydeep.weights import nested

Array = npt.NDArray[Any]

VGG = vgg(((1, 4), (2, 8)), input=(3, 8, 8), classes=5, fc=(6,), batch_norm=True)
PLAIN = vgg(((1, 4), (2, 8)), input=(3, 8, 8), classes=5, fc=(6,), batch_norm=True, dropout=0.0)


def chain(*children: Layer, input: Shape = (3, 8, 8)) -> Network:
    return Network("net", input, (Block("block1", children),))


def built(network: Network, **options: Any) -> Any:
    return flax_nnx.build(network, sample_weights(network), **options)


def images(network: Network, *, count: int = 2, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal((count, *network.input)).astype(np.float32)


def channels_last(x: Array) -> jax.Array:
    return jnp.asarray(x.transpose(0, 2, 3, 1))


def same(ours: dict[str, Array], theirs: dict[str, Array]) -> bool:
    return list(ours) == list(theirs) and all(np.array_equal(ours[name], theirs[name]) for name in ours)


# What is built


def test_modules_have_the_names_of_blocks_and_layers():
    model = built(VGG)
    assert model.order == ("block1", "block2", "head")
    assert model.block2.order[:4] == ("conv2_1", "bn2_1", "relu2_1", "conv2_2")
    assert isinstance(model, nnx.Module)
    assert type(model.block1.conv1_1) is nnx.Conv
    assert type(model.head.fc3) is nnx.Linear
    assert type(model.head.drop3) is nnx.Dropout
    assert isinstance(model.block1.bn1_1, nnx.BatchNorm)
    assert model.block2.conv2_1.kernel.shape == (3, 3, 4, 8)
    assert model.head.fc4.kernel.shape == (6, 5)


def test_every_layer_is_a_module_at_its_place():
    network = narrow("googlenet", CATALOG["googlenet"])
    found = {".".join(map(str, path)) for path, _ in nnx.iter_modules(built(network))}
    assert set(nested.places(network).values()) <= found


def test_what_is_learned_is_a_param_and_what_is_counted_a_statistic():
    model = built(VGG)
    learned = nnx.to_flat_state(nnx.state(model, nnx.Param))
    counted = nnx.to_flat_state(nnx.state(model, nnx.BatchStat))
    assert len(learned) == sum(weight.learned for weight in weights(VGG).values())
    assert {path[-1] for path, _ in counted} == {"mean", "var"}
    assert len(counted) == sum(not weight.learned for weight in weights(VGG).values())


def test_a_new_model_is_in_train_mode_and_knows_its_description():
    model = built(VGG)
    assert model.network == VGG
    assert flax_nnx.network_of(model) == VGG
    assert not model.head.drop3.deterministic
    assert not model.block1.bn1_1.use_running_average
    model.eval()
    assert model.head.drop3.deterministic
    assert model.block1.bn1_1.use_running_average


def test_products_have_full_precision_unless_asked_otherwise():
    def precisions(model: nnx.Module) -> set[Any]:
        return {module.precision for _, module in nnx.iter_modules(model) if isinstance(module, nnx.Conv | nnx.Linear)}

    assert precisions(built(VGG)) == {"highest"}
    assert precisions(built(VGG, precision="default")) == {"default"}


@pytest.mark.parametrize("name", ["train", "eval", "order", "network", "sow"])
def test_a_name_that_flax_needs_for_itself_is_refused(name: str):
    for network in (chain(ReLU(name)), Network("net", (3, 8, 8), (Block(name, (ReLU("relu"),)),))):
        with pytest.raises(ConfigError) as caught:
            flax_nnx.build(network, {})
        assert caught.value.code == "NAME-RESERVED"
        assert str(caught.value) == f"net: Flax has a use of its own for the name {name!r}. Rename the layer or block."


def test_a_model_of_someone_else_is_refused_everywhere():
    foreign: Any = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
    for ask in (
        flax_nnx.network_of,
        flax_nnx.get_weights,
        lambda model: flax_nnx.set_weights(model, {}),
        lambda model: flax_nnx.run(model, images(VGG), mode="eval", taps=()),
        lambda model: flax_nnx.features(model, channels_last(images(VGG)), taps=()),
    ):
        with pytest.raises(ConfigError, match="this Linear was not built from a network's description") as caught:
            ask(foreign)
        assert caught.value.code == "MODEL-FOREIGN"


# Weights


def test_weights_come_out_exactly_as_they_went_in_and_in_order():
    arrays = sample_weights(VGG)
    assert same(flax_nnx.get_weights(flax_nnx.build(VGG, arrays)), arrays)
    assert list(arrays) == list(weights(VGG))


def test_weights_are_copies_in_both_directions():
    arrays = sample_weights(VGG)
    model = flax_nnx.build(VGG, arrays)
    for array in arrays.values():
        array[:] = 7
    out = flax_nnx.get_weights(model)
    assert same(out, sample_weights(VGG))
    for array in out.values():
        array[:] = 8
    assert same(flax_nnx.get_weights(model), sample_weights(VGG))


def test_weights_of_pytorch_go_in_and_out():
    theirs = pytorch.get_weights(pytorch.build(VGG, sample_weights(VGG)))
    model = built(VGG)
    flax_nnx.set_weights(model, {name: torch.from_numpy(2 * array) for name, array in theirs.items()})
    assert same(flax_nnx.get_weights(model), {name: 2 * array for name, array in theirs.items()})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda arrays: arrays.pop("fc4.bias"), "missing: fc4.bias"),
        (lambda arrays: arrays.update({"fc9.bias": np.zeros(3, np.float32)}), "unknown: fc9.bias"),
        (
            lambda arrays: arrays.update({"fc4.bias": np.zeros(3, np.float32)}),
            "shapes: fc4.bias is (3,), not (5,)",
        ),
    ],
    ids=["missing", "unknown", "shape"],
)
def test_weights_that_do_not_fit_are_refused_and_nothing_is_loaded(change: Any, words: str):
    model = built(VGG)
    arrays = {name: np.full_like(array, 9) for name, array in sample_weights(VGG).items()}
    change(arrays)
    with pytest.raises(WeightsError) as caught:
        flax_nnx.set_weights(model, arrays)
    assert caught.value.code == "WEIGHTS-MISMATCH"
    assert words in caught.value.message
    assert same(flax_nnx.get_weights(model), sample_weights(VGG))


# Taps and modes


def test_features_are_what_the_modules_give_in_the_models_own_layout():
    model = built(PLAIN)
    model.eval()
    x = channels_last(images(PLAIN))
    found = flax_nnx.features(model, x, taps=("fc4", "relu1_1"))
    assert list(found) == ["fc4", "relu1_1"]
    assert found["relu1_1"].shape == (2, 8, 8, 4)
    assert jnp.array_equal(found["relu1_1"], nnx.relu(model.block1.bn1_1(model.block1.conv1_1(x))))
    assert jnp.array_equal(found["fc4"], model(x))


def test_layers_inside_joins_are_tapped_by_their_names():
    inner = residual("inner", (conv("conv1", 3, padding=1), ReLU("relu1")))
    network = chain(branch("outer", (inner,), (Tanh("tanh"),), ()), input=(3, 5, 4))
    x = images(network)
    found = flax_nnx.run(built(network), x, mode="eval", taps=("relu1", "inner", "outer"))
    assert np.array_equal(found["inner"], found["relu1"] + x)
    assert found["outer"].shape == (2, 9, 5, 4)
    assert np.array_equal(found["outer"][:, :3], found["inner"])
    assert np.array_equal(found["outer"][:, 6:], x)


def test_nothing_is_computed_beyond_the_deepest_tap():
    model = built(PLAIN)
    before = flax_nnx.get_weights(model)
    assert flax_nnx.run(model, images(PLAIN), mode="train", taps=()) == {}
    flax_nnx.run(model, images(PLAIN), mode="train", taps=("relu1_1", "conv2_1", "relu1_1"))
    after = flax_nnx.get_weights(model)
    assert {name for name in before if not np.array_equal(before[name], after[name])} == {
        "bn1_1.running_mean",
        "bn1_1.running_var",
    }


def test_an_unknown_tap_is_refused_with_the_layers_that_there_are():
    with pytest.raises(ConfigError) as caught:
        flax_nnx.run(built(chain(ReLU("relu"))), images(VGG), mode="eval", taps=("relu", "relu9"))
    assert caught.value.code == "LAYER-UNKNOWN"
    assert str(caught.value) == "net has no layer 'relu9'. Its layers: relu."


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_a_run_leaves_the_models_own_mode_alone(mode: Any):
    model = built(VGG)
    for prepare in (model.train, model.eval):
        prepare()
        norm, drop = model.block1.bn1_1, model.head.drop3
        before = (norm.use_running_average, drop.deterministic)
        flax_nnx.run(model, images(VGG), mode=mode, taps=("fc4",))
        assert (norm.use_running_average, drop.deterministic) == before


def test_evaluation_changes_no_statistic_and_knows_no_batch():
    model = built(VGG)
    before = flax_nnx.get_weights(model)
    x = images(VGG, count=3)
    together = flax_nnx.run(model, x, mode="eval", taps=("fc4",))["fc4"]
    alone = [flax_nnx.run(model, image[None], mode="eval", taps=("fc4",))["fc4"][0] for image in x]
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-6)
    assert same(flax_nnx.get_weights(model), before)


def test_one_number_for_each_channel_has_no_variance():
    model = built(chain(Flatten("flatten"), BatchNorm("norm"), input=(2, 1, 1)))
    with pytest.raises(ConfigError, match="needs more than one number") as caught:
        model(jnp.ones((1, 1, 1, 2)))
    assert caught.value.code == "BATCH-NORM"
    model.eval()
    assert model(jnp.ones((1, 1, 1, 2))).shape == (1, 2)


# Dropout


def test_dropout_drops_its_share_keeps_the_mean_and_is_off_in_evaluation():
    model = built(chain(Dropout("drop", 0.3), input=(10, 50, 20)))
    ones = np.ones((4, 10, 50, 20), np.float32)
    first, second = (flax_nnx.run(model, ones, mode="train", taps=("drop",))["drop"] for _ in range(2))
    assert np.isclose((first == 0).mean(), 0.3, atol=0.01)  # of 40,000 numbers: four standard deviations
    assert np.isclose(first.mean(), 1, atol=0.015)
    np.testing.assert_allclose(first[first != 0], 1 / 0.7, rtol=1e-6)
    assert not np.array_equal(first, second)
    assert np.array_equal(flax_nnx.run(model, ones, mode="eval", taps=("drop",))["drop"], ones)


def test_the_seed_of_dropout_is_passed_in():
    network = chain(Dropout("drop1"), Dropout("drop2"))
    x = np.ones((2, *network.input), np.float32)

    def drawn(seed: int) -> dict[str, Array]:
        return flax_nnx.run(built(network, seed=seed), x, mode="train", taps=("drop1", "drop2"))

    assert same(drawn(1), drawn(1))
    assert not np.array_equal(drawn(1)["drop1"], drawn(2)["drop1"])
    assert not np.array_equal(drawn(1)["drop1"] == 0, drawn(1)["drop2"] == 0)


# Transformations and training


def test_split_and_merge_keep_the_order_of_layers_and_the_description():
    network = chain(conv("second", 3, padding=1), ReLU("first"))
    model = built(network)
    x = channels_last(images(network))
    twin = nnx.merge(*nnx.split(model))
    assert jnp.array_equal(twin(x), model(x))
    assert twin(x).min() == 0
    assert flax_nnx.network_of(twin) == network
    assert same(flax_nnx.get_weights(twin), flax_nnx.get_weights(model))


def test_compiled_features_are_the_same():
    model = built(PLAIN)
    model.eval()
    x = channels_last(images(PLAIN))
    taps = ("relu2_1", "fc4")
    compiled = nnx.jit(lambda model, x: flax_nnx.features(model, x, taps=taps))(model, x)
    for name, output in flax_nnx.features(model, x, taps=taps).items():
        np.testing.assert_allclose(compiled[name], output, rtol=1e-5, atol=1e-5)


def test_a_compiled_step_learns_and_updates_the_statistics():
    model = built(VGG)
    optimizer = nnx.Optimizer(model, optax.sgd(0.05), wrt=nnx.Param)
    x, labels = channels_last(images(VGG, count=10)), jnp.arange(10) % 5

    @nnx.jit
    def step(model: nnx.Module, optimizer: nnx.Optimizer) -> jax.Array:
        def loss_of(model: Any) -> jax.Array:
            return optax.softmax_cross_entropy_with_integer_labels(model(x), labels).mean()

        loss, gradients = nnx.value_and_grad(loss_of)(model)
        optimizer.update(model, gradients)
        return loss

    before = flax_nnx.get_weights(model)
    losses = [float(step(model, optimizer)) for _ in range(40)]
    after = flax_nnx.get_weights(model)
    assert np.mean(losses[-5:]) < 0.6 * losses[0]
    assert [name for name in before if np.array_equal(before[name], after[name])] == []


def everything() -> Network:
    """Every kind of layer that gradients pass."""
    return Network(
        "everything",
        (4, 11, 9),
        (
            Block("stem", (conv("conv1", 8, groups=2, stride=2), BatchNorm("norm1"), LRN("lrn", alpha=0.1))),
            Block(
                "joins",
                (
                    branch("side", (Tanh("tanh"),), (pool("mean", "average", kernel=3, padding=1),)),
                    residual("sum", (conv("conv2", 18, padding=1), ReLU("relu")), shortcut=(PadChannels("pad", 1, 1),)),
                    pool("max", kernel=3, stride=2, rounding="ceil"),
                ),
            ),
            Block("head", (Flatten("flatten"), Linear("fc1", 7), BatchNorm("norm2"), Linear("fc2", 3))),
        ),
    )


def test_gradients_are_those_of_pytorch():
    network = everything()
    x = images(network, count=5)
    theirs = pytorch.build(network, sample_weights(network)).double()
    (theirs(torch.from_numpy(x).double()) ** 2).sum().backward()
    expected = {
        name: tensor.grad.numpy() for name, tensor in pytorch.tensors(theirs).items() if tensor.grad is not None
    }
    model = built(network)
    gradients = nnx.jit(nnx.grad(lambda model: (model(channels_last(x)) ** 2).sum()))(model)
    nnx.update(model, gradients)  # so that they come out by name
    found = flax_nnx.get_weights(model)
    assert list(expected) == [name for name, weight in weights(network).items() if weight.learned]
    for name, gradient in expected.items():
        # What comes before a batch norm has a bias without effect: its gradient is rounding.
        scale = max(np.abs(gradient).max(), 0.1)
        assert np.abs(found[name] - gradient).max() < 1e-4 * scale, name


# Sizes


def test_the_dense_form_reads_images_of_any_size():
    small = vgg(((1, 4), (1, 6)), input=(3, 12, 12), classes=5, fc=(7,), dropout=0.0)
    network, arrays = dense(small), dense_weights(small, sample_weights(small))
    model = flax_nnx.build(network, arrays)
    for size in ((12, 12), (21, 16)):
        x = np.random.default_rng(0).standard_normal((2, 3, *size)).astype(np.float32)
        last = walk(network)[-1].layer.name
        found = flax_nnx.run(model, x, mode="eval", taps=(last,))[last]
        expected = numpy_reference.run(network, arrays, x)["output"]
        assert found.shape == expected.shape
        assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()


def pairs(least: int, most: int) -> st.SearchStrategy[tuple[int, int]]:
    return st.tuples(st.integers(least, most), st.integers(least, most))


@st.composite
def windows(draw: st.DrawFn) -> tuple[tuple[int, int], tuple[int, int], tuple[tuple[int, int], tuple[int, int]]]:
    """Size, kernel and padding of a pool that can be: padding is less than the kernel, and the kernel fits."""
    kernel = draw(pairs(1, 4))
    padding = tuple(draw(pairs(0, k - 1)) for k in kernel)
    size = tuple(draw(st.integers(max(1, k - sum(sides)), 9)) for k, sides in zip(kernel, padding, strict=True))
    return size, kernel, padding


@settings(max_examples=25, deadline=None)  # JAX compiles each of them
@given(
    window=windows(),
    stride=pairs(1, 4),
    pooling=st.sampled_from(["max", "average"]),
    rounding=st.sampled_from(["floor", "ceil"]),
)
def test_every_pool_that_can_be_said_is_the_references(window, stride, pooling, rounding):
    size, kernel, padding = window
    network = chain(Pool("pool", pooling, kernel, stride, padding, rounding), input=(2, *size))
    x = images(network)
    found = np.asarray(layers.Pool(network.blocks[0].layers[0])(channels_last(x))).transpose(0, 3, 1, 2)
    expected = numpy_reference.run(network, {}, x)["output"]
    assert found.shape[1:] == network.output.shape
    np.testing.assert_allclose(found, expected, atol=1e-6)
