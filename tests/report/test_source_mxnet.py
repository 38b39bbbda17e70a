"""The text of generated Gluon source; that it computes what it should is tested in MXNet's environment."""

import ast

import pytest

from tests.in_mxnet import environment
from verydeep.families.catalog import CATALOG, network
from verydeep.report.source.frameworks import code
from verydeep.report.source.mxnet_helpers import HELPERS
from verydeep.spec import Block, Network, Pool


def gluon(net: Network) -> str:
    return code(net, framework="mxnet")


def test_generated_source_is_the_built_network():
    print(environment.run_tests("test_source.py"))


@pytest.mark.parametrize("name", CATALOG)
def test_lines_are_no_longer_than_120(name: str):
    assert max(map(len, gluon(network(name)).splitlines())) <= 120


@pytest.mark.parametrize("name", CATALOG)
def test_helpers_and_imports_are_written_only_where_they_are_used(name: str):
    tree = ast.parse(gluon(network(name)))
    defined = {node.name for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)} - {name}
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert defined == used & set(HELPERS)
    imported = {alias.asname or alias.name for node in tree.body if "names" in node._fields for alias in node.names}
    assert imported <= used


def test_options_are_written_only_where_they_differ_from_gluon_s():
    d, small = gluon(network("D")), gluon(network("resnet18"))
    assert "conv1_1=nn.Conv2D(64, kernel_size=3, padding=1),\n" in d
    assert "pool1=nn.MaxPool2D(pool_size=2, strides=2),\n" in d
    assert "bn1=nn.BatchNorm(),\n" in small
    assert "path2=stack(),  # the identity\n" in small
    assert "epsilon=0.001" in gluon(network("googlenet_bn"))


def test_what_gluon_does_otherwise_in_training_is_said():
    assert "running variances" in gluon(network("resnet18"))
    assert "running variances" not in gluon(network("D"))


@pytest.mark.parametrize(
    ("stride", "kind"), [((2, 2), "nn.MaxPool2D("), ((3, 2), "UnevenMaxPool2D("), ((2, 3), "UnevenMaxPool2D(")]
)
def test_a_last_window_that_may_begin_beyond_the_map_is_cut_off(stride: tuple[int, int], kind: str):
    pool = Pool("pool", "max", (2, 2), stride, rounding="ceil")
    assert f"pool={kind}" in gluon(Network("net", (1, 9, 9), (Block("block", (pool,)),)))


def test_the_docstring_says_what_the_network_is():
    text = ast.get_docstring(ast.parse(gluon(network("A")))) or ""
    assert text.startswith("vgg11 in MXNet (Gluon), written by verydeep; it needs nothing but mxnet.")
