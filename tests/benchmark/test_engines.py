"""Every engine that can run here computes the same network, in its own precision."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.cli.command import environment
from verydeep.backends import numpy_reference
from verydeep.benchmark.engines import catalog
from verydeep.benchmark.engines.task import noise
from verydeep.benchmark.form import form_for, weights_for
from verydeep.benchmark.rows import error_of
from verydeep.errors import ConfigError
from verydeep.families.vgg import vgg
from verydeep.weights import canonical
from verydeep.weights.initial import initial

BOUNDS = {"float32": 1e-5, "bf16": 5e-2, "int8": 0.5}
NETWORK = vgg(((1, 8), (2, 16)), input=(3, 12, 12), classes=5, fc=(9,), batch_norm=True)
OWN, LARGER = (12, 12), (20, 15)
ABLE = [
    (name, precision)
    for name, engine in catalog.ENGINES.items()
    for precision in engine.precisions
    if catalog.why_not(name, precision=precision) is None
]
PYTORCH = [(name, precision) for name, precision in ABLE if name in ("torch", "torch-channels-last")]
# Compiling takes half a minute and calibrating starts more libraries than a test may load beside others.
OWN_PROCESS = [pair for pair in ABLE if pair[0] != "torch-compile" and pair[1] != "int8" and pair not in PYTORCH]
SLOW = [pair for pair in ABLE if pair not in PYTORCH and pair not in OWN_PROCESS]


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    stream = np.random.default_rng(3)
    weights = {
        name: array if array.ndim > 1 else (array + stream.uniform(0.1, 0.3, array.shape)).astype(np.float32)
        for name, array in initial(NETWORK, seed=1).items()
    }
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    canonical.save(path, network=NETWORK, weights=weights)
    return path


def _job(model: Path, folder: Path, *, engine: str, precision: str, size) -> dict:
    told = {"model": str(model), "folder": str(folder), "engine": engine, "precision": precision, "size": list(size)}
    return {**told, "batch": 2, "threads": 1, "seed": 4}


def _expected(model: Path, size):
    stored = canonical.load(model)
    network = form_for(stored.network, size)
    weights = weights_for(stored.network, stored.weights, size=size)
    images = noise((2, *network.input), seed=4).astype(np.float64)
    exact = {name: array.astype(np.float64) for name, array in weights.items()}
    last = [layer.name for block in network.blocks for layer in block.layers][-1]
    return numpy_reference.run(network, exact, images, mode="eval", taps=(last,))[last]


@pytest.mark.parametrize("size", [OWN, LARGER])
@pytest.mark.parametrize(("engine", "precision"), PYTORCH)
def test_pytorch_computes_the_network_at_any_size(model, tmp_path, engine, precision, size):
    ready = catalog.make(_job(model, tmp_path, engine=engine, precision=precision, size=size))
    logits = ready.call()
    assert logits.dtype == np.float32
    assert 0 < error_of(logits, _expected(model, size)) < BOUNDS[precision]
    assert ready.about["version"]


@pytest.mark.parametrize("size", [OWN, LARGER])
def test_the_reference_is_the_meaning_of_each_layer_in_float64(model, tmp_path, size):
    ready = catalog.make_reference(_job(model, tmp_path, engine="", precision="float64", size=size))
    logits = ready.call()
    assert logits.dtype == np.float64
    assert error_of(logits, _expected(model, size)) < 1e-13


def _alone(model: Path, folder: Path, *, engine: str, precision: str) -> float:
    """The error of an engine in a process of its own."""
    job = _job(model, folder, engine=engine, precision=precision, size=LARGER)
    script = (
        "import json, sys, numpy as np; from verydeep.benchmark.engines.catalog import make\n"
        "job = json.loads(sys.argv[1]); ready = make(job); ready.call(); np.save(sys.argv[2], ready.call())\n"
        "import os; os._exit(0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, json.dumps(job), str(folder / "y.npy")],
        env=environment(TORCHINDUCTOR_COMPILE_THREADS="1"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return error_of(np.load(folder / "y.npy"), _expected(model, LARGER))


@pytest.mark.parametrize(("engine", "precision"), OWN_PROCESS)
def test_every_engine_that_can_run_here_computes_the_network(model, tmp_path, engine, precision):
    assert 0 < _alone(model, tmp_path, engine=engine, precision=precision) < BOUNDS[precision]


@pytest.mark.slow
@pytest.mark.parametrize(("engine", "precision"), SLOW)
def test_so_do_those_that_compile_or_calibrate_first(model, tmp_path, engine, precision):
    assert 0 < _alone(model, tmp_path, engine=engine, precision=precision) < BOUNDS[precision]


def test_a_size_that_a_network_does_not_take_is_refused_with_its_own():
    with pytest.raises(ConfigError, match=r"vgg takes no images of 5x5: .* Its own size is 12x12") as refused:
        form_for(NETWORK, (5, 5))
    assert refused.value.code == "BENCH-SIZE"


def test_a_network_of_its_own_size_stays_as_it_is():
    assert form_for(NETWORK, OWN) is NETWORK
    assert form_for(NETWORK, LARGER).name == "vgg_dense"
