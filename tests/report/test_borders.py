import pytest

from verydeep.families.catalog import network
from verydeep.report.borders import borders
from verydeep.report.table import to_json, to_text
from verydeep.spec import Block, Conv, Layer, Network, Shape, conv, pool


def of(layer: Layer, *, input: Shape) -> tuple[str, ...]:
    return borders(Network("small", input, (Block("block1", (layer,)),)))


@pytest.mark.parametrize("name", ["A", "A-LRN", "B", "C", "D", "E", "shallow"])
def test_every_stride_of_vgg_divides_at_224(name: str):
    assert borders(network(name)) == ()


def test_a_pool_that_leaves_the_last_row_and_column():
    assert of(pool("pool1", kernel=2, stride=2), input=(1, 55, 55)) == (
        "pool1: the last row and column of 55x55 are not read; (55 - 2) / 2 is not whole",
    )


def test_only_the_direction_that_does_not_divide_is_named():
    assert of(pool("pool1", kernel=2, stride=2), input=(1, 4, 7)) == (
        "pool1: the last column of 4x7 is not read; (7 - 2) / 2 is not whole",
    )


def test_several_rows_are_counted():
    assert of(conv("conv1", 1, kernel=5, stride=4), input=(1, 12, 11)) == (
        "conv1: the last 3 rows and 2 columns of 12x11 are not read; (12 - 5) / 4 is not whole",
    )


def test_padding_counts_before_the_map_does():
    (line,) = of(conv("conv1", 1, kernel=7, stride=2, padding=3), input=(1, 224, 224))
    assert line == "the stride leaves only padding unread, at the far border: conv1"
    uneven = Conv("conv1", 1, kernel=(3, 3), stride=(4, 4), padding=((0, 1), (0, 1)))
    assert of(uneven, input=(1, 5, 5)) == (
        "conv1: the last 2 rows and 2 columns of 5x5 are not read; (5 - 3 + 1) / 4 is not whole",
    )


def test_a_window_that_is_rounded_up_reaches_beyond():
    assert of(pool("pool1", kernel=3, stride=2, rounding="ceil"), input=(1, 112, 112)) == (
        "pool1: the last window reaches 1 row and 1 column beyond 112x112; (112 - 3) / 2 is rounded up",
    )


def test_a_stride_longer_than_its_window_passes_over_positions():
    assert of(conv("conv1", 1, kernel=1, stride=2), input=(1, 56, 56)) == (
        "conv1: the stride 2 passes over positions of 56x56 that no 1x1 window reads",
    )


def test_a_dilated_window_is_as_large_as_it_reaches():
    dilated = Conv("conv1", 1, kernel=(3, 3), stride=(2, 2), dilation=(2, 2))
    assert of(dilated, input=(1, 8, 8)) == (
        "conv1: the last row and column of 8x8 are not read; (8 - 5) / 2 is not whole",
    )


def test_the_lines_stand_in_the_text_and_in_json():
    odd = network("A", input=(1, 55, 55))
    assert "note: pool1: the last row and column of 55x55 are not read" in to_text(odd)
    assert to_json(odd)["borders"] == list(borders(odd))
