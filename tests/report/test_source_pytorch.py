import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from verydeep.backends import pytorch
from verydeep.families.catalog import CATALOG, network
from verydeep.report.source.frameworks import code
from verydeep.report.source.pytorch_helpers import HELPERS
from verydeep.report.table import summary
from verydeep.spec import (
    LRN,
    BatchNorm,
    Block,
    Conv,
    Dropout,
    Flatten,
    Layer,
    Linear,
    Network,
    PadChannels,
    Parallel,
    Pool,
    ReLU,
    Tanh,
    branch,
    conv,
    pool,
    residual,
    walk,
    weights,
)


def run(source: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "generated"}
    exec(compile(source, "generated.py", "exec"), names)
    return names


def model_of(network: Network, function: str | None = None) -> nn.Sequential:
    return run(code(network))[function or network.name]()


def places(network: Network) -> Iterator[tuple[str, str]]:
    """Every layer's name and where the generated model has it, in the order of computation."""

    def within(layers: tuple[Layer, ...], prefix: str) -> Iterator[tuple[str, str]]:
        for layer in layers:
            if isinstance(layer, Parallel):
                for number, path in enumerate(layer.paths, start=1):
                    yield from within(path, f"{prefix}.{layer.name}.path{number}")
            yield layer.name, f"{prefix}.{layer.name}"

    for block in network.blocks:
        yield from within(block.layers, block.name)


def everything() -> Network:
    """A network with every kind of layer, and every option that PyTorch does not have."""
    uneven = ((0, 2), (1, 0))
    return Network(
        "everything",
        (4, 19, 17),
        (
            Block(
                "stem",
                (
                    Conv("conv1", 8, (3, 2), stride=(2, 1), padding=uneven, dilation=(1, 2), groups=2, bias=False),
                    BatchNorm("bn1", epsilon=1e-3, momentum=0.01),
                    ReLU("relu1"),
                    LRN("norm1", alpha=0.1),
                    Pool("pool1", "max", (3, 3), (2, 2), uneven, "ceil"),
                ),
            ),
            Block(
                "paths",
                (
                    branch(
                        "join",
                        (conv("conv2a", 4, kernel=(3, 1), padding=(1, 0)), Tanh("tanh2a")),
                        (pool("pool2b", "average", kernel=3, padding=1), conv("conv2b", 4, kernel=1)),
                        (Pool("pool2c", "average", (3, 3), (1, 1), ((0, 2), (2, 0))),),
                        (Pool("pool2d", "average", (3, 3), (1, 1), ((2, 0), (2, 0)), "ceil"),),
                        (pool("pool2f", "average", kernel=3, padding=2), conv("conv2f", 4, kernel=3)),
                        (Pool("pool2e", "max", (3, 3), (1, 1), ((2, 0), (0, 2)), "ceil"),),
                    ),
                    residual("add", (PadChannels("pad3", 1, 2), conv("conv3", 36, kernel=1))),
                ),
            ),
            Block(
                "head",
                (
                    branch("both", (pool("mean", "average", kernel=None),), (pool("top", kernel=None),)),
                    Flatten("flatten"),
                    Dropout("drop", 0.3),
                    Linear("fc4", 6, bias=False),
                    BatchNorm("bn4"),
                    Linear("fc5", 3),
                ),
            ),
        ),
    )


@pytest.mark.parametrize("name", CATALOG)
def test_every_layer_of_every_network_has_the_shape_of_the_walk(name: str):
    described = network(name)
    with torch.device("meta"):
        model = model_of(described).eval()
    shapes: dict[str, tuple[int, ...]] = {}

    def remember(place: str) -> Any:
        return lambda module, inputs, output: shapes.update({place: tuple(output.shape[1:])})

    for place, module in model.named_modules():
        module.register_forward_hook(remember(place))
    model(torch.empty(2, *described.input, device="meta"))
    where = dict(places(described))
    for step in walk(described):
        assert shapes[where[step.layer.name]] == step.after.shape, step.layer.name


@pytest.mark.parametrize("name", CATALOG)
def test_the_state_dict_has_the_spec_s_names_and_the_parameters_their_number(name: str):
    described = network(name)
    with torch.device("meta"):
        model = model_of(described)
    where = dict(places(described))
    expected = {}
    for key, weight in weights(described).items():
        layer, array = key.split(".")
        expected[f"{where[layer]}.{array}"] = weight.shape
    found = {key: tuple(value.shape) for key, value in model.state_dict().items() if "num_batches" not in key}
    assert found == expected
    assert sum(parameter.numel() for parameter in model.parameters()) == summary(described).params
    assert model.training


@pytest.mark.parametrize(
    "described",
    [everything(), *(network(name, width=0.125) for name in ("googlenet", "resnet20_cifar", "alexnet_2012", "lenet5"))],
    ids=lambda described: described.name,
)
def test_weights_of_the_built_network_load_and_give_the_same_logits(described: Network):
    random = np.random.default_rng(0)
    arrays = {
        name: (np.abs(random.normal(size=weight.shape)) + 0.1).astype("float32")
        if name.endswith("running_var")
        else random.normal(size=weight.shape, scale=0.2).astype("float32")
        for name, weight in weights(described).items()
    }
    built, generated = pytorch.build(described, arrays).eval(), model_of(described).eval()
    generated.load_state_dict(built.state_dict(), strict=True)
    images = torch.from_numpy(random.normal(size=(2, *described.input)).astype("float32"))
    with torch.inference_mode():
        torch.testing.assert_close(generated(images), built(images), rtol=0, atol=0)


def test_lrn_is_the_published_formula():
    layer = LRN("norm1", size=3, alpha=0.5, beta=0.75, k=2.0)
    model = model_of(Network("lrn", (5, 1, 1), (Block("block1", (layer,)),)))
    x = torch.arange(1.0, 6.0)
    squares = torch.tensor([1 + 4, 1 + 4 + 9, 4 + 9 + 16, 9 + 16 + 25, 16 + 25.0])
    torch.testing.assert_close(model(x.reshape(1, 5, 1, 1)).flatten(), x / (2 + 0.5 * squares) ** 0.75)


def test_uneven_padding_never_counts_in_a_mean():
    layer = Pool("pool1", "average", (2, 2), (1, 1), ((1, 0), (0, 0)))
    model = model_of(Network("mean", (1, 2, 2), (Block("block1", (layer,)),)))
    x = torch.tensor([[[[1.0, 3.0], [5.0, 7.0]]]])
    assert model(x).flatten().tolist() == [2.0, 4.0]


@pytest.mark.parametrize("name", CATALOG)
def test_lines_are_no_longer_than_120(name: str):
    assert max(map(len, code(network(name)).splitlines())) <= 120


@pytest.mark.parametrize("name", CATALOG)
def test_helpers_are_written_only_where_they_are_used(name: str):
    tree = ast.parse(code(network(name)))
    defined = {node.name for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)} - {name}
    called = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert defined == called & set(HELPERS)
    imported = {alias.asname or alias.name for node in tree.body if "names" in node._fields for alias in node.names}
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert imported <= used


def test_options_are_written_only_where_they_differ_from_pytorch_s():
    source = code(network("D"))
    assert "conv1_1=nn.Conv2d(3, 64, kernel_size=3, padding=1),\n" in source
    assert "pool1=nn.MaxPool2d(kernel_size=2, stride=2),\n" in source
    assert "bn1=nn.BatchNorm2d(64),\n" in code(network("resnet18"))
    assert "eps=0.001" in code(network("googlenet_bn"))
    assert "path2=stack(),  # the identity\n" in code(network("resnet18"))


def test_the_docstring_says_what_the_network_is():
    text = ast.get_docstring(ast.parse(code(network("A", input=(3, 20, 20))))) or ""
    assert text.startswith("vgg11 in PyTorch")
    assert "arXiv:1409.1556" in text
    assert "3x20x20" in text
    assert "pool5 is left out" in " ".join(text.split())


def test_a_generated_file_runs_alone(tmp_path: Path):
    path = tmp_path / "generated.py"
    path.write_text(code(network("googlenet", input=(3, 64, 64), width=0.125, classes=7)), encoding="utf-8")
    done = subprocess.run([sys.executable, "-I", str(path)], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (done.returncode, done.stdout) == (0, "(2, 7)\n"), done.stderr
    assert "import verydeep" not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("A-LRN", "a_lrn"),
        ("16 layers!", "network_16_layers"),
        ("class", "class_"),
        ("stack", "stack_"),
        ("torch", "torch_"),
        ("***", "network"),
        ('"""\\', "network"),
    ],
)
def test_any_name_becomes_a_function(name: str, function: str):
    described = replace(network("lenet5"), name=name, source='a """ quoted \\ source \x00\n')
    assert isinstance(model_of(described, function), nn.Sequential)


def test_layers_may_be_called_by_words_that_python_reserves():
    layers = (conv("lambda", 2, kernel=1), ReLU("été"))
    model = model_of(Network("words", (1, 4, 4), (Block("class", layers),)))
    assert set(model.state_dict()) == {"class.lambda.weight", "class.lambda.bias"}
    assert [name for name, _ in model.named_modules()][-1] == "class.été"
