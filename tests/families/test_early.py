"""The network of the recipes `sprint` and `quick`: the map is halved before anything is normalised."""

import pytest

from verydeep.families.catalog import network
from verydeep.families.early import vgg_early
from verydeep.report.table import summary
from verydeep.spec import BatchNorm, Conv, Pool, walk


def test_it_has_the_parameters_that_its_channels_say():
    convolutions = 9 * (1 * 16 + 16 * 32 + 32 * 32 + 32 * 64 + 64 * 64)
    assert summary(vgg_early()).params == convolutions + 2 * (16 + 32 + 32 + 64 + 64) + 10 * (64 * 9 + 1)


def test_the_wide_one_is_wider_where_maps_are_small():
    narrow, wide = (
        [step.layer.channels for step in walk(network(name)) if isinstance(step.layer, Conv)]
        for name in ("vgg_early", "vgg_early_wide")
    )
    assert (narrow, wide) == ([16, 32, 32, 64, 64], [16, 64, 64, 128, 128])


def test_every_pool_stands_between_a_convolution_and_its_batch_norm():
    layers = [step.layer for step in walk(vgg_early())]
    places = [index for index, layer in enumerate(layers) if isinstance(layer, Pool)]
    assert len(places) == 3
    assert all(isinstance(layers[i - 1], Conv) and isinstance(layers[i + 1], BatchNorm) for i in places)


@pytest.mark.parametrize(("size", "pools"), [((28, 28), 3), ((32, 32), 3), ((8, 8), 3), ((4, 9), 2), ((1, 1), 0)])
def test_a_pool_that_does_not_fit_is_left_out(size: tuple[int, int], pools: int):
    found = walk(vgg_early(input=(3, *size), classes=7, width=0.5))
    assert sum(isinstance(step.layer, Pool) for step in found) == pools
    assert found[-1].after.shape == (7,)
