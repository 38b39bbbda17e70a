"""Where no kernel takes a step PyTorch computes it on the same memory, and where there are none at all this is said."""

import pytest
import torch

import verydeep as vd
from tests.engine.nets import FAMILIES, ODD, error, images, layers, net, reference, weights
from verydeep.backends.check import TOLERANCE
from verydeep.engine import library
from verydeep.errors import ConfigError


@pytest.mark.parametrize("name", [*ODD, *FAMILIES])
@pytest.mark.usefixtures("no_kernels")
def test_every_step_has_its_meaning_in_pytorch(name):
    network, expected = net(name), reference(name)
    engine = vd.Engine(network, weights(name))
    batch = images((2, *network.input))
    for found in (engine.features(batch, layers(network)), {layers(network)[-1]: engine(torch.tensor(batch))}):
        for layer, output in found.items():
            assert tuple(output.shape) == expected[layer].shape
            assert error(output, expected[layer]) <= TOLERANCE, layer
    kernels = {step.kernel for step in engine.describe(batch.shape)}
    assert kernels <= {"pytorch", "zeros"}


@pytest.mark.usefixtures("no_kernels")
def test_what_falls_back_is_marked():
    engine = vd.Engine(net("lenet5"), weights("lenet5"))
    assert str(engine.describe((3, 1, 28, 28), "tanh1")[0]) == "conv1: pytorch, 3x1x28x28"


def test_a_library_that_is_not_there_is_said_in_one_line(monkeypatch, tmp_path):
    monkeypatch.setattr(library, "LIBRARY", tmp_path / "_kernels.so")
    monkeypatch.setattr(library, "REASON", tmp_path / "_kernels.txt")
    library.load.cache_clear()
    try:
        assert library.why_not() == "the kernels were not compiled"
        (tmp_path / "_kernels.txt").write_text("no C++ compiler was found\n")
        assert library.why_not() == "the kernels were not compiled: no C++ compiler was found"
        assert library.instruction_sets() == ()
        with pytest.raises(ConfigError, match=r"no C\+\+ compiler was found. PyTorch runs every network") as refused:
            vd.Engine(net("lenet5"), weights("lenet5"))
        assert refused.value.code == "ENGINE-UNAVAILABLE"
        (tmp_path / "_kernels.so").write_bytes(b"\x7fELF, and no more")
        assert "_kernels.so" in (library.why_not() or "")
        assert vd.features(built(), torch.zeros(1, 1, 28, 28), "fc5")["fc5"].isfinite().all()
    finally:
        library.load.cache_clear()


def built():
    return vd.build(net("lenet5"), weights=weights("lenet5")).eval()
