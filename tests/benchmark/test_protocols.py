"""Protocols: which images each part computes, and what its ratio is taken to."""

from pathlib import Path

import pytest
import torch

from tests.benchmark.tiny import MACHINE
from verydeep.benchmark import protocol_side, protocols
from verydeep.benchmark.contest import Timed
from verydeep.benchmark.protocols import bench_protocols
from verydeep.errors import ConfigError, SpecError
from verydeep.families.vgg import vgg
from verydeep.weights import canonical
from verydeep.weights.initial import initial

NETWORK = vgg(((1, 4), (1, 6)), input=(3, 8, 8), classes=5, fc=(7,))


@pytest.fixture(autouse=True)
def same_threads():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def pretended(monkeypatch):
    told: dict = {"seconds": {}, "contests": []}

    def contest(entrants, *, calls, threads, folder, say):
        told["contests"].append([entrant.name for entrant in entrants])
        found = []
        for entrant in entrants:
            seconds = told["seconds"].get(entrant.name, 1.0)
            failed = isinstance(seconds, str)
            found.append(Timed(entrant.name, failed=seconds) if failed else Timed(entrant.name, (seconds,) * calls))
        return found

    monkeypatch.setattr(protocols, "contest", contest)
    monkeypatch.setattr(protocols.bystanders, "LOOK", 0.01)
    monkeypatch.setattr("verydeep.benchmark.circumstances.environment", lambda: MACHINE)
    return told


def _bench(**changes):
    return bench_protocols(NETWORK, **{"engines": ["torch"], "scales": (10, 12, 16), "tap": "relu2_1", **changes})


@pytest.fixture
def computed(monkeypatch, tmp_path: Path):
    """The shapes of the images that a part computes, and the network that computes them."""
    canonical.save(tmp_path / "model.safetensors", network=NETWORK, weights=initial(NETWORK))

    def shapes(part: str, engine: str = "torch"):
        seen, networks = [], []
        build = protocol_side.pytorch.build

        def built(network, arrays, *, layout):
            networks.append((network.name, layout))
            model = build(network, arrays, layout=layout)
            model.register_forward_pre_hook(lambda module, inputs: seen.append(tuple(inputs[0].shape)))
            return model

        monkeypatch.setattr(protocol_side.pytorch, "build", built)
        job = {"model": str(tmp_path / "model.safetensors"), "scales": [10, 12, 16], "tap": "relu2_1", "batch": 2}
        protocol_side.make({**job, "engine": engine, "part": part, "threads": 1, "seed": 0}).call()
        monkeypatch.undo()
        return seen, networks

    return shapes


def test_dense_computes_an_image_and_its_mirror_at_each_scale(computed):
    seen, networks = computed("dense")
    assert seen == [(2, 3, 10, 10), (2, 3, 12, 12), (2, 3, 16, 16)]
    assert networks == [("vgg_dense", "channels_first")]


def test_crops_are_150_of_the_networks_own_size(computed):
    seen, networks = computed("crops", "torch-channels-last")
    assert sum(shape[0] for shape in seen) == 150
    assert {shape[1:] for shape in seen} == {(3, 8, 8)}
    assert networks == [("vgg", "channels_last")]


def test_features_and_the_cut_network_see_the_same_images(computed):
    assert computed("features") == ([(2, 3, 8, 8)], [("vgg", "channels_first")])
    assert computed("cut") == ([(2, 3, 8, 8)], [("vgg_relu2_1", "channels_first")])


def test_ratios_are_dense_by_crops_and_features_by_cut(pretended):
    pretended["seconds"] = {"torch dense": 2.0, "torch crops": 16.0, "torch features": 1.1, "torch cut": 1.0}
    rows = _bench().rows
    assert [(row.part, row.ratio) for row in rows] == [
        ("dense", 0.125),
        ("crops", None),
        ("features", pytest.approx(1.1)),
        ("cut", None),
    ]
    assert pretended["contests"] == [["torch dense", "torch crops"], ["torch features", "torch cut"]]


def test_a_part_that_dies_takes_its_ratio_along(pretended):
    pretended["seconds"] = {"torch crops": "it was killed (SIGKILL)"}
    dense, crops, *_ = _bench().rows
    assert (dense.median_ms, dense.ratio, crops.failed) == (1000.0, None, "it was killed (SIGKILL)")


def test_without_a_name_those_that_can_run_here_take_part(pretended, monkeypatch):
    monkeypatch.setattr(protocols, "why_not", lambda name, precision: "no" if name == "verydeep" else None)
    _bench(engines=None)
    assert pretended["contests"][0] == [
        "torch-channels-last dense",
        "torch-channels-last crops",
        "torch dense",
        "torch crops",
    ]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"scales": (4,)}, "takes no images of 4x4"),
        ({"tap": "relu9_9"}, "no layer 'relu9_9'"),
        ({"engines": ["onnxruntime"]}, "onnxruntime takes no part in --protocols"),
        ({"calls": 0}, "calls"),
        ({"batch": 0}, "batch"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_built(pretended, wrong, said):
    with pytest.raises((ConfigError, SpecError), match=said):
        _bench(**wrong)
    assert pretended["contests"] == []
