"""Deeper columns that start from column A, by name."""

import numpy as np
import pytest

from verydeep.backends.check import sample_weights
from verydeep.errors import SpecError, WeightsError
from verydeep.families.catalog import network
from verydeep.rewrite.grow import grow, grow_weights
from verydeep.weights.initial import initial

TAKEN = ("conv1_1", "conv2_1", "conv3_1", "conv3_2", "fc6", "fc7", "fc8")


def small(name, **options):
    return network(name, **{"input": (3, 32, 32), "width": 1 / 16, "fc": (8, 8), "classes": 4, **options})


@pytest.mark.parametrize("deeper", ["B", "C", "D", "E"])
def test_columns_b_to_e_take_four_convolutions_and_three_fully_connected_layers(deeper):
    assert grow(network(deeper), source=network("A")) == TAKEN


@pytest.mark.parametrize("deeper", ["B_bn", "C_bn", "D_bn", "E_bn"])
def test_batch_norm_comes_along_where_both_have_it(deeper):
    assert grow(network(deeper), source=network("A_bn")) == (
        *("conv1_1", "bn1_1", "conv2_1", "bn2_1", "conv3_1", "bn3_1", "conv3_2", "bn3_2"),
        *("fc6", "fc7", "fc8"),
    )


def test_batch_norm_stays_behind_where_only_one_has_it():
    assert grow(network("D_bn"), source=network("A")) == TAKEN
    assert grow(network("D"), source=network("A_bn")) == TAKEN


def test_the_layers_taken_have_the_weights_of_the_source_and_the_others_their_initial_ones():
    source, target = small("A_bn"), small("E_bn")
    trained, untrained = sample_weights(source, seed=1), initial(target, seed=2)
    grown = grow_weights(target, initial=untrained, source=source, source_weights=trained)
    assert list(grown) == list(untrained)
    taken = grow(target, source=source)
    for name, array in grown.items():
        origin = trained if name.split(".")[0] in taken else untrained
        assert np.array_equal(array, origin[name])
    assert not np.array_equal(grown["conv1_1.weight"], untrained["conv1_1.weight"])
    assert not np.array_equal(grown["conv4_1.weight"], trained["conv4_1.weight"])


def test_other_classes_are_refused_naming_the_layer_and_both_shapes():
    with pytest.raises(SpecError, match="fc8 has weight 10x4096 and bias 10, not weight 1000x4096 and bias 1000"):
        grow(network("D", classes=10), source=network("A"))


def test_every_layer_that_differs_is_named():
    with pytest.raises(SpecError, match=r"conv1_1 has .*5x5.*conv2_1 has .*it has no conv3_2"):
        grow(network("shallow"), source=network("A"))


def test_by_position_it_could_not_be_done():
    convolutions = {
        name: [array.shape for array in initial(small(name)).values() if array.ndim == 4][:4] for name in ("A", "D")
    }
    assert convolutions["A"] != convolutions["D"]


def test_weights_that_are_not_those_of_the_networks_are_refused():
    source, target = small("A"), small("D")
    with pytest.raises(WeightsError, match="vgg16: missing: conv1_2"):
        grow_weights(target, initial=initial(source), source=source, source_weights=initial(source))
    with pytest.raises(WeightsError, match="vgg11: unknown: conv1_2"):
        grow_weights(target, initial=initial(target), source=source, source_weights=initial(target))
