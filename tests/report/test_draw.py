import math
import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from verydeep.families.catalog import CATALOG, network
from verydeep.report.draw import draw
from verydeep.report.figures import LEAST, TALLEST
from verydeep.report.table import table
from verydeep.spec import Block, Conv, Linear, Network, Pool, branch, conv, pool, residual, walk

SVG = "{http://www.w3.org/2000/svg}"


def parsed(network: Network) -> ElementTree.Element:
    return ElementTree.fromstring(draw(network))


def texts(root: ElementTree.Element) -> list[str]:
    return [text.text or "" for text in root.iter(f"{SVG}text")]


def fronts(root: ElementTree.Element) -> dict[str, tuple[float, float]]:
    """Thickness and height of each layer's box, by the layer's name."""
    boxes: dict[str, tuple[float, float]] = {}
    for polygon in root.iter(f"{SVG}polygon"):
        title = polygon.find(f"{SVG}title")
        if title is not None and title.text:
            points = [tuple(map(float, point.split(","))) for point in polygon.attrib["points"].split()]
            width = max(x for x, _ in points) - min(x for x, _ in points)
            height = max(y for _, y in points) - min(y for _, y in points)
            boxes[title.text.partition(":")[0]] = (width, height)
    return boxes


@pytest.mark.parametrize("name", CATALOG)
def test_every_network_is_drawn_as_well_formed_xml_inside_its_frame(name: str):
    root = parsed(network(name))
    assert root.tag == f"{SVG}svg"
    left, top, width, height = map(float, root.attrib["viewBox"].split())
    numbers = re.compile(r"(-?[\d.]+),(-?[\d.]+)")
    shapes = [element.attrib["points"] for element in root.iter() if "points" in element.attrib]
    assert shapes
    for x, y in (map(float, point) for points in shapes for point in numbers.findall(points)):
        assert left <= x <= width
        assert top <= y <= height
    for text in root.iter(f"{SVG}text"):
        assert 0 < float(text.attrib["y"]) < height
        assert 0 < float(text.attrib["x"]) < width


@pytest.mark.parametrize("name", CATALOG)
def test_every_page_can_be_put_on_a_slide(name: str):
    _, _, width, height = map(float, parsed(network(name)).attrib["viewBox"].split())
    assert min(1600 / width, 900 / height) > 0.75


@pytest.mark.parametrize("name", ["D", "lenet5", "alexnet_2012", "nin"])
def test_heights_are_those_of_the_maps_and_thicknesses_the_roots_of_the_channels(name: str):
    described = network(name)
    boxes = fronts(parsed(described))
    drawn = [row for row in table(described) if row.kind in ("Conv", "Pool", "Linear")]
    assert set(boxes) == {"input"} | {row.name for row in drawn}
    unit = TALLEST / described.input[1]
    root = max(boxes[row.name][0] / math.sqrt(row.shape[0]) for row in drawn if boxes[row.name][0] > 2 * LEAST)
    for row in drawn:
        thickness, height = boxes[row.name]
        assert height == pytest.approx(max(LEAST, unit * (row.shape[1] if len(row.shape) == 3 else 1)), abs=0.21)
        assert thickness == pytest.approx(max(LEAST, root * math.sqrt(row.shape[0])), abs=0.4)


def test_below_each_block_stand_its_name_shape_parameters_and_receptive_field():
    written = texts(parsed(network("D")))
    start = written.index("block3")
    times = "\N{MULTIPLICATION SIGN}"
    assert written[start : start + 6] == [
        "block3",
        f"3 {times} conv 3{times}3, 256",
        f"max-pool 2{times}2 /2",
        f"→ 256 {times} 28 {times} 28",
        "1,475,328 params",
        "sees 44 px",
    ]


def test_equal_neighbours_are_drawn_once_with_their_number():
    described = network("resnet152")
    root = parsed(described)
    times = "\N{MULTIPLICATION SIGN}"
    assert f"35 {times} unit4_2 … unit4_36" in texts(root)
    boxes = fronts(root)
    assert "conv4_2a" in boxes
    assert "conv4_3a" not in boxes


def test_blocks_that_differ_in_more_than_names_are_all_drawn():
    boxes = fronts(parsed(network("googlenet")))
    layers = [step.layer for step in walk(network("googlenet")) if isinstance(step.layer, Conv | Pool | Linear)]
    assert {layer.name for layer in layers} < set(boxes)


def test_equal_layers_on_maps_of_another_size_are_not_merged():
    blocks = [Block(f"block{n}", (conv(f"conv{n}", 4, kernel=3),)) for n in (1, 2, 3)]
    assert {"block1", "block2", "block3"} < set(texts(parsed(Network("shrinks", (4, 9, 9), tuple(blocks)))))


def test_paths_within_paths_and_the_identity_are_drawn():
    inner = residual("add", (conv("inner", 2, kernel=1),))
    outer = branch("join", (inner,), (pool("pool1", kernel=3, padding=1),))
    root = parsed(Network("nested", (2, 8, 8), (Block("block1", (outer,)),)))
    assert {"inner", "add", "pool1", "join"} < set(fronts(root))
    assert "identity" in texts(root)


def test_the_paths_of_a_block_stand_one_above_the_other():
    root = parsed(network("googlenet"))
    heights = {}
    for polygon in root.iter(f"{SVG}polygon"):
        title = polygon.find(f"{SVG}title")
        if title is not None and title.text:
            points = [tuple(map(float, point.split(","))) for point in polygon.attrib["points"].split()]
            heights[title.text.partition(":")[0]] = (min(y for _, y in points), max(y for _, y in points))
    paths = [heights[f"inception_4a_{name}"] for name in ("1x1", "3x3", "5x5", "pool_proj")]
    assert all(upper[1] < lower[0] for upper, lower in pairwise(paths))


def test_the_legend_names_only_what_is_drawn():
    assert "paths joined" not in texts(parsed(network("D")))
    assert {"input", "convolution", "pool", "fully connected"} < set(texts(parsed(network("D"))))
    assert {"paths joined", "zeros added"} < set(texts(parsed(network("resnet20_cifar"))))


def test_text_is_escaped_and_control_characters_are_left_out():
    odd = Network('<b> & "c"\x00\x1b', (1, 4, 4), (Block("block1", (pool("pool1"),)),), source="a < b & c")
    root = parsed(odd)
    assert '<b> & "c"  ' in texts(root)
    assert "a < b & c" in texts(root)


def test_a_block_too_wide_for_the_page_widens_it():
    layers = tuple(conv(f"conv{n}", 64, kernel=1) for n in range(60))
    root = parsed(Network("long", (64, 32, 32), (Block("block1", layers),)))
    _, _, width, _ = map(float, root.attrib["viewBox"].split())
    right = max(float(x) for x in re.findall(r"([\d.]+),", " ".join(e.attrib.get("points", "") for e in root.iter())))
    assert 1600 < right < width


def test_the_same_network_gives_the_same_bytes():
    assert draw(network("resnet50")) == draw(network("resnet50"))
