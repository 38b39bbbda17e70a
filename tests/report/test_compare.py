import json
from dataclasses import replace

import pytest

from verydeep.families.catalog import CATALOG, network
from verydeep.report.compare import compare, to_json, to_markdown, to_text
from verydeep.spec import Block, Network, conv, pool


def test_an_entry_holds_what_the_table_sums_to():
    (entry,) = compare([network("D")])
    assert (entry.name, entry.depth, entry.params, entry.macs) == ("vgg16", 16, 138_357_544, 15_470_264_320)
    assert entry.params_fc_share == pytest.approx(123_642_856 / 138_357_544)
    assert entry.macs_fc_share == pytest.approx((25088 * 4096 + 4096 * 4096 + 4096 * 1000) / 15_470_264_320)
    assert (entry.receptive_field, entry.flops) == (212, 30_940_528_640)


@pytest.mark.parametrize(
    ("name", "field"), [("A", 150), ("C", 156), ("E", 268), ("resnet50", 427), ("nin", 27), ("lenet5", 16)]
)
def test_the_receptive_field_is_that_of_the_last_map(name: str, field: int):
    assert compare([network(name)])[0].receptive_field == field


def test_a_network_that_ends_in_a_map_is_measured_there_and_has_no_linear_share():
    layers = (conv("conv1", 2, kernel=3), pool("pool1", kernel=2, stride=2))
    (entry,) = compare([Network("map", (1, 9, 8), (Block("block1", layers),))])
    assert (entry.receptive_field, entry.params_fc_share, entry.macs_fc_share) == (4, 0.0, 0.0)


def test_a_network_without_weights_has_a_share_of_nothing():
    (entry,) = compare([Network("empty", (1, 4, 4), (Block("block1", (pool("pool1"),)),))])
    assert (entry.params, entry.params_fc_share, entry.macs_fc_share) == (0, 0.0, 0.0)


def test_json_is_plain_and_keeps_the_order():
    networks = [network("E"), network("A")]
    record = to_json(networks)
    assert record == json.loads(json.dumps(record))
    assert [entry["name"] for entry in record["networks"]] == ["vgg19", "vgg11"]
    assert record["networks"][0]["input"] == [3, 224, 224]


def test_text_and_markdown_have_a_line_for_each_network():
    networks = [network(name) for name in CATALOG]
    lines = to_text(networks).split("\n\n")[0].splitlines()
    assert [line.split()[0] for line in lines[2:]] == list(CATALOG)
    lines = to_markdown(networks).split("\n\n")[0].splitlines()
    assert [line.split()[1] for line in lines[2:]] == list(CATALOG)
    assert len({line.count("|") for line in lines}) == 1


def test_a_name_with_a_bar_stays_in_its_cell():
    odd = replace(network("lenet5"), name="a|b")
    assert "| a\\|b |" in to_markdown([odd])
