"""A network as plain Keras source: it says what is built, and runs alone."""

import ast
from pathlib import Path

import pytest

from tests.in_keras import process
from verydeep.backends.odd_networks import ODD_NETWORKS
from verydeep.errors import ConfigError
from verydeep.families.catalog import CATALOG, network
from verydeep.report.source.frameworks import code
from verydeep.report.source.keras_helpers import HELPERS
from verydeep.spec import Block, Network, ReLU

EVERY_NETWORK = (*(family() for family in CATALOG.values()), *ODD_NETWORKS)


def source(described: Network) -> str:
    return code(described, framework="keras")


def test_the_generated_source_makes_the_network_that_is_built():
    print(process.run_tests("test_source.py", engine="torch"))  # the engine that is ready first


@pytest.mark.parametrize("described", EVERY_NETWORK, ids=lambda described: described.name)
def test_lines_are_no_longer_than_120(described: Network):
    assert max(map(len, source(described).splitlines())) <= 120


@pytest.mark.parametrize("described", EVERY_NETWORK, ids=lambda described: described.name)
def test_helpers_and_imports_are_written_only_where_they_are_used(described: Network):
    tree = ast.parse(source(described))
    defined = {node.name for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)} - {described.name}
    read = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    assert defined == read & set(HELPERS)
    imported = {
        alias.name for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom) for alias in node.names
    }
    assert imported == read & {"keras", "layers", "ops"}


def test_options_are_written_only_where_they_differ_from_keras_s():
    text = source(network("D"))
    assert '    x = layers.Conv2D(64, 3, padding="same", name="conv1_1")(x)\n' in text
    assert '    x = layers.MaxPooling2D(2, name="pool1")(x)\n' in text
    assert '    x = layers.Dropout(0.5, name="drop6")(x)\n' in text
    assert "BatchNormalization" not in text and "divided by n" not in text


def test_what_is_not_keras_s_own_sense_is_said():
    text = source(network("resnet18"))
    assert text.count("# Keras's moving variance follows the variance of each batch divided by n, ") == 1
    assert 'layers.BatchNormalization(momentum=0.9, epsilon=1e-05, name="bn1")' in text
    assert "# Channel by channel" not in text  # a vector of a 1x1 map is the same in any order
    assert text.count("# Channel by channel") < source(network("A")).count("# Channel by channel") == 1


def test_paths_have_variables_and_an_empty_one_is_what_the_others_read():
    text = source(network("resnet18"))
    assert '    x1 = layers.Conv2D(64, 3, padding="same", use_bias=False, name="conv2_1a")(x)\n' in text
    assert '    x = layers.Add(name="add2_1")([x1, x])\n' in text
    assert '    x = layers.Add(name="add3_1")([x1, x2])\n' in text
    (nested,) = (odd for odd in ODD_NETWORKS if odd.name == "paths_within_paths")
    assert '    x2 = layers.Concatenate(name="split")([x2_1, x2_2, x])\n' in source(nested)


def test_a_name_that_keras_cannot_take_is_refused():
    with pytest.raises(ConfigError) as caught:
        source(Network("net", (1, 4, 4), (Block("block", (ReLU("été"),)),)))
    assert caught.value.code == "NAME-RESERVED"


def test_the_docstring_says_what_the_network_is():
    text = ast.get_docstring(ast.parse(source(network("A", input=(3, 32, 32))))) or ""
    assert text.startswith("vgg11 in Keras, written by verydeep; it needs nothing but keras and what it runs on.")
    assert "arXiv:1409.1556" in text
    assert "3x32x32" in text


def test_a_generated_file_runs_alone(tmp_path: Path):
    path = tmp_path / "generated.py"
    path.write_text(source(network("alexnet_2012", width=0.125, fc=(20, 10), classes=7)), encoding="utf-8")
    assert process.run("-I", path) == "(2, 7)\n"
    assert "import verydeep" not in path.read_text(encoding="utf-8")
