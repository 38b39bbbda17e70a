import ast
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from verydeep.backends import flax_nnx
from verydeep.backends.check import narrow, sample_weights, samples
from verydeep.backends.odd_networks import ODD_NETWORKS
from verydeep.families.catalog import CATALOG, network
from verydeep.report.source.flax_helpers import HELPERS
from verydeep.report.source.frameworks import code
from verydeep.rewrite.dense import dense
from verydeep.spec import Block, Dropout, Network, ReLU, conv, pool, walk

KINDS = (nnx.Param, nnx.BatchStat)


def source(described: Network) -> str:
    return code(described, framework="flax")


def run(text: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "generated"}
    exec(compile(text, "generated.py", "exec"), names)
    return names


def shapes_of(described: Network, function: str | None = None) -> Any:
    """The generated model without numbers."""
    return nnx.eval_shape(lambda: run(source(described))[function or described.name](nnx.Rngs(0)))


def paths(model: nnx.Module) -> set[Any]:
    return {path for path, _ in nnx.to_flat_state(nnx.state(model, KINDS))}


def with_state_of(built: nnx.Module, described: Network) -> Any:
    """The generated model with copies of the built one's arrays, which must be those that it has."""
    generated = shapes_of(described)
    assert paths(generated) == paths(built)
    nnx.update(generated, jax.tree.map(jnp.copy, nnx.state(built, KINDS)))
    return generated


def images(described: Network, *, count: int = 2) -> jax.Array:
    channels, height, width = described.input
    return jnp.asarray(np.random.default_rng(0).standard_normal((count, height, width, channels)), jnp.float32)


def close(found: jax.Array, expected: jax.Array) -> bool:
    return found.shape == expected.shape and bool(jnp.abs(found - expected).max() <= 1e-5 * jnp.abs(expected).max())


def case(described: Network) -> Any:
    """JAX compiles so many layers for seconds: what is deeper than GoogLeNet repeats itself."""
    marks = [pytest.mark.slow] if len(walk(described)) > 160 else []
    return pytest.param(described, id=described.name, marks=marks)


@pytest.mark.parametrize("described", [case(described) for described in samples()])
def test_the_state_of_the_built_network_fits_and_gives_the_same_logits(described: Network):
    built = flax_nnx.build(described, sample_weights(described))
    generated = with_state_of(built, described)
    built.eval()
    generated.eval()
    assert close(generated(images(described)), built(images(described)))


TRAINED = [*ODD_NETWORKS, *(narrow(name, CATALOG[name]) for name in ("vgg11_lrn_bn", "resnet20_cifar"))]


@pytest.mark.parametrize("described", TRAINED, ids=lambda described: described.name)
def test_in_train_mode_logits_and_statistics_are_the_same(described: Network):
    built = flax_nnx.build(described, sample_weights(described))
    generated = with_state_of(built, described)
    assert close(generated(images(described, count=4)), built(images(described, count=4)))
    statistics = (nnx.to_flat_state(nnx.state(model, nnx.BatchStat)) for model in (generated, built))
    for (path, found), (_, expected) in zip(*statistics, strict=True):
        assert close(found[...], expected[...]), path


def test_dropout_draws_from_the_rngs_that_are_given():
    described = Network("noise", (1, 20, 20), (Block("block1", (Dropout("drop", 0.25),)),))
    make = run(source(described))["noise"]
    ones = jnp.ones((4, 20, 20, 1))
    first, again, other = (make(nnx.Rngs(seed))(ones) for seed in (0, 0, 1))
    assert jnp.array_equal(first, again)
    assert not jnp.array_equal(first, other)
    assert abs(float((first == 0).mean()) - 0.25) < 0.05


def test_ceil_pools_and_the_dense_form_read_maps_of_any_size():
    ceil = Network("ceil", (2, 6, 6), (Block("block1", (pool("pool1", kernel=3, stride=2, rounding="ceil"),)),))
    for described in (ceil, dense(narrow("lenet5", CATALOG["lenet5"]))):
        built = flax_nnx.build(described, sample_weights(described))
        generated = with_state_of(built, described)
        larger = jnp.ones((1, 41, 38, described.input[0]))
        assert close(generated(larger), built(larger))


def test_a_generated_model_can_be_compiled_and_split():
    described = narrow("lenet5", CATALOG["lenet5"])
    built = flax_nnx.build(described, sample_weights(described))
    generated = with_state_of(built, described)
    twin = nnx.merge(*nnx.split(generated))
    compiled = nnx.jit(lambda model, x: model(x))
    assert close(compiled(twin, images(described)), built(images(described)))


@pytest.mark.parametrize("name", CATALOG)
def test_lines_are_no_longer_than_120(name: str):
    assert max(map(len, source(network(name)).splitlines())) <= 120


@pytest.mark.parametrize("name", CATALOG)
def test_helpers_and_imports_are_written_only_where_they_are_used(name: str):
    tree = ast.parse(source(network(name)))
    defined = {node.name for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)} - {name}
    read = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    assert defined == read & set(HELPERS)
    imported = {alias.asname or alias.name for node in tree.body if "names" in node._fields for alias in node.names}
    assert imported == read & {"Callable", "partial", "jax", "jnp", "nnx"}
    constants = {target.id for node in tree.body if isinstance(node, ast.Assign) for target in node.targets}
    assert constants == read & {"Pair", "Sides", "NONE"}


def test_options_are_written_only_where_they_differ_from_flax_s():
    text = source(network("D"))
    assert "conv1_1=nnx.Conv(3, 64, (3, 3), padding=1, rngs=rngs),\n" in text
    assert "pool1=Apply(nnx.max_pool, window_shape=(2, 2), strides=(2, 2)),\n" in text
    assert "drop6=nnx.Dropout(0.5, rngs=rngs),\n" in text
    assert "bn1=BatchNorm(64, rngs=rngs),\n" in source(network("resnet18"))
    assert "BatchNorm(64, epsilon=0.001, rngs=rngs)" in source(network("googlenet_bn"))
    assert "path2=Stack(),  # the identity\n" in source(network("resnet18"))


def test_the_docstring_says_what_the_network_is():
    text = ast.get_docstring(ast.parse(source(network("A", input=(3, 20, 20))))) or ""
    assert text.startswith("vgg11 in Flax NNX, written by verydeep; it needs nothing but jax and flax.")
    assert "arXiv:1409.1556" in text
    assert "3x20x20" in text


def test_a_generated_file_runs_alone(tmp_path: Path):
    path = tmp_path / "generated.py"
    path.write_text(source(network("alexnet_2012", width=0.125, fc=(20, 10), classes=7)), encoding="utf-8")
    done = subprocess.run([sys.executable, "-I", str(path)], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (done.returncode, done.stdout) == (0, "(2, 7)\n"), done.stderr
    assert "import verydeep" not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "function"), [("class", "class_"), ("stack", "stack"), ("flatten", "flatten_"), ("jax", "jax_")]
)
def test_any_name_becomes_a_function(name: str, function: str):
    assert isinstance(shapes_of(replace(network("lenet5"), name=name), function), nnx.Module)


def test_layers_may_be_called_by_words_that_python_reserves():
    layers = (conv("lambda", 2, kernel=1), ReLU("été"))
    model = shapes_of(Network("words", (1, 4, 4), (Block("class", layers),)))
    assert paths(model) == {("class", "lambda", "kernel"), ("class", "lambda", "bias")}
