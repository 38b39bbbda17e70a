"""Generated Gluon source is the built network: the same names, and with the same parameters the same logits."""

import subprocess
import sys
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest
from mxnet.gluon import nn

from verydeep.backends import mxnet_gluon
from verydeep.backends.check import sample_weights, samples
from verydeep.families.catalog import network
from verydeep.report.source.mxnet import source
from verydeep.spec import Block, Network, ReLU, branch, conv


def generated(net: Network) -> nn.HybridSequential:
    names = {"__name__": "generated"}
    exec(compile(source(net), "generated.py", "exec"), names)
    return names[net.name]()


@pytest.mark.parametrize("net", list(samples()), ids=lambda net: net.name)
def test_parameters_of_the_built_network_load_and_give_the_same_logits(net: Network, tmp_path: Path):
    built, images = mxnet_gluon.build(net, sample_weights(net)), mx.nd.random.normal(shape=(2, *net.input))
    built.save_parameters(str(tmp_path / "built.params"))
    model = generated(net)
    model(images)  # Gluon infers the channels that enter
    model.load_parameters(str(tmp_path / "built.params"))
    expected = built(images).asnumpy()
    assert np.abs(model(images).asnumpy() - expected).max() <= 1e-5 * np.abs(expected).max()
    model.save_parameters(str(tmp_path / "generated.params"))
    assert list(mx.nd.load(str(tmp_path / "generated.params"))) == list(mx.nd.load(str(tmp_path / "built.params")))


@pytest.mark.parametrize("name", ["resnet18", "googlenet", "alexnet_2012", "resnet20_cifar"])
def test_it_can_be_hybridized_before_it_has_seen_an_image(name: str):
    model = generated(network(name, width=0.125))
    model.hybridize()
    assert model(mx.nd.zeros((2, *network(name).input))).shape == (2, network(name).classes)


def test_a_generated_file_runs_alone(tmp_path: Path):
    path = tmp_path / "generated.py"
    path.write_text(source(network("googlenet", input=(3, 64, 64), width=0.125, classes=7)), encoding="utf-8")
    done = subprocess.run([sys.executable, "-I", str(path)], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (done.returncode, done.stdout) == (0, "(2, 7)\n"), done.stderr
    assert "import verydeep" not in path.read_text(encoding="utf-8")


def test_layers_may_be_called_by_words_that_python_reserves():
    paths = branch("yield", (conv("lambda", 2, kernel=1),), (ReLU("été"),))
    model = generated(Network("words", (1, 4, 4), (Block("class", (paths,)),)))
    model(mx.nd.zeros((1, 1, 4, 4)))
    assert getattr(getattr(model, "class"), "yield").path1 is not None
    assert "(été)" in repr(model)
