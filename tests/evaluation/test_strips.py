"""An image in parts is the whole image, in every family, at every height of the parts, in both engines."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from tests.engine.nets import net, weights
from tests.evaluation.nets import NETS, a_run
from tests.evaluation.test_protocols import in_memory, pictures
from verydeep.backends import numpy_reference
from verydeep.backends.odd_networks import ODD_NETWORKS
from verydeep.evaluation import room
from verydeep.evaluation.dense import mean_scores
from verydeep.evaluation.posteriors import posteriors
from verydeep.evaluation.protocol import protocol_for
from verydeep.evaluation.strips import Part, bytes_at, least_bytes, parts
from verydeep.rewrite.dense import dense, dense_weights, is_dense
from verydeep.spec import Network

FAMILIES = ("lenet5", "nin", "resnet20_cifar", *(odd.name for odd in ODD_NETWORKS))


@cache
def example(name: str) -> tuple[Network, dict[str, np.ndarray], np.ndarray]:
    """A dense form, its weights, and an image with a few more cells in each direction than its own."""
    network, arrays = net(name), weights(name)
    if not is_dense(network):
        network, arrays = dense(network), dense_weights(network, arrays)
    signal = network.output
    height, width = (
        network.input[1 + axis] + 3 * signal.step[axis] + signal.receptive_field[axis] // 2 + 1 for axis in (0, 1)
    )
    return network, arrays, np.random.default_rng(3).normal(size=(2, network.input[0], height, width))


def worst(name: str, found: tuple[Part, ...]) -> float:
    """The largest difference of a mean score by parts from that of the whole, in float64, of the largest score."""
    network, arrays, images = example(name)

    def compute(pixels: np.ndarray) -> torch.Tensor:
        return torch.tensor(numpy_reference.run(network, arrays, pixels)["output"])

    whole = compute(images).mean((2, 3))
    return float((mean_scores(compute, images, parts=found) - whole).abs().max() / whole.abs().max())


@pytest.mark.parametrize("name", FAMILIES)
def test_the_parts_together_are_the_whole(name: str):
    network, _, images = example(name)
    size = images.shape[2], images.shape[3]
    least, most = least_bytes(network, size), bytes_at(network, size)
    counts = set()
    for memory in (least, (2 * least + most) // 3, (least + 2 * most) // 3):
        found = parts(network, size, memory=memory)
        counts.add(len(found))
        assert worst(name, found) <= 1e-12
        largest = (
            max(part.rows.last - part.rows.first for part in found),
            max(part.columns.last - part.columns.first for part in found),
        )
        assert bytes_at(network, largest) <= memory
    assert parts(network, size, memory=least - 1) == ()
    assert len(parts(network, size, memory=most)) == 1


def test_less_memory_makes_more_parts_first_strips_then_tiles():
    network = dense(NETS["A"])
    found = [parts(network, (160, 200), memory=memory) for memory in (2**20, 2**19, 2**18, 2**15, 2**14)]
    assert [len(one) for one in found] == [1, 3, 8, 846, 0]
    assert {part.rows.count for part in found[1]} == {found[0][0].rows.count}  # whole columns: the cuts are shorter
    cells = found[0][0].rows.count * found[0][0].columns.count
    assert all(sum(part.rows.count * part.columns.count for part in one) == cells for one in found[:-1])


@pytest.mark.parametrize(
    "wrong",
    [
        {"first": 1},  # begins one pixel late
        {"first": -4},  # begins a step early, so that other cells are taken
        {"last": -1},  # ends before the field of its last cell does
    ],
)
def test_a_part_that_is_cut_wrongly_is_caught(wrong: dict[str, int]):
    network, _, images = example("lenet5")
    size = images.shape[2], images.shape[3]
    found = parts(network, size, memory=least_bytes(network, size))
    inner = next(number for number, part in enumerate(found) if part.rows.first > 0 and part.rows.last < size[0])
    rows = found[inner].rows
    moved = replace(rows, **{name: getattr(rows, name) + change for name, change in wrong.items()})
    damaged = (*found[:inner], replace(found[inner], rows=moved), *found[inner + 1 :])
    assert worst("lenet5", found) <= 1e-12 < 1e-6 < worst("lenet5", damaged)


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("engine", ["verydeep", "pytorch"])
@pytest.mark.parametrize("name", NETS)
def test_both_engines_give_the_same_posteriors_in_parts(name: str, engine: str):
    run = a_run(name)
    split = in_memory(pictures(2, channels=run.preprocessing.channels, sizes=[(70, 90)]))
    protocol = protocol_for(run, "dense", scales=(40, 61))
    whole = posteriors(run, split, protocol=protocol, engine=engine)
    for memory in (30_000, 60_000, 100_000):
        assert len(room.room_for(run, split, protocol=protocol, memory=memory).parts((61, 78))) > 1
        in_parts = posteriors(run, split, protocol=protocol, engine=engine, memory=memory)
        assert np.abs(in_parts.array - whole.array).max() <= 1e-5


def test_a_guard_for_the_padding_between_parts_is_needed():
    """Without the fields around them, parts see zeros where the image goes on."""
    network, _, images = example("nin")
    size = images.shape[2], images.shape[3]
    found = parts(network, size, memory=(bytes_at(network, size) + 2 * least_bytes(network, size)) // 3)
    step, field = network.output.step[0], network.output.receptive_field[0]
    bare = tuple(
        replace(part, rows=replace(part.rows, last=min(size[0], part.rows.last - field // 2 // step * step)))
        for part in found
    )
    assert len(found) > 1
    assert worst("nin", bare) > 1e-6
