import json
import subprocess
import sys
from collections.abc import Callable

import pytest

from verydeep.families.catalog import CATALOG, network
from verydeep.families.vgg import vgg
from verydeep.report.table import summary, table, to_json, to_markdown, to_text
from verydeep.spec import Block, Flatten, Linear, Network, Parallel, Shape, conv, pool, walk

THIN_A = ((1, 16), (1, 32), (2, 64), (2, 128), (2, 128))
A, B, D, E = (
    ((1, 64), (1, 128), (2, 256), (2, 512), (2, 512)),
    ((2, 64), (2, 128), (2, 256), (2, 512), (2, 512)),
    ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)),
    ((2, 64), (2, 128), (4, 256), (4, 512), (4, 512)),
)


def thin_a(size: int) -> Network:
    return vgg(THIN_A, input=(1, size, size), classes=10)


def fields(network: Network) -> dict[str, int | tuple[int, int]]:
    return {row.name: row.receptive_field for row in table(network)}


@pytest.mark.parametrize(
    ("name", "params", "conv", "macs", "pool5", "fc6"),
    [
        ("A", 132_863_336, 9_220_480, 7_609_090_048, 150, 342),
        ("A-LRN", 132_863_336, 9_220_480, 7_609_090_048, 150, 342),
        ("B", 133_047_848, 9_404_992, 11_308_466_176, 156, 348),
        ("C", 133_638_952, 9_996_096, 11_770_888_192, 156, 348),
        ("D", 138_357_544, 14_714_688, 15_470_264_320, 212, 404),
        ("E", 143_667_240, 20_024_384, 19_632_062_464, 268, 460),
        ("shallow", 134_503_528, 10_860_672, 9_356_017_664, 156, 348),
    ],
)
def test_the_columns_of_table_1_have_the_published_counts(
    name: str, params: int, conv: int, macs: int, pool5: int, fc6: int
):
    totals, seen = summary(network(name)), fields(network(name))
    assert (totals.params, totals.params_conv, totals.params_fc) == (params, conv, 123_642_856)
    assert (totals.macs, totals.flops, totals.params_other) == (macs, 2 * macs, 0)
    assert (seen["pool5"], seen["fc6"]) == (pool5, fc6)


@pytest.mark.parametrize(
    ("name", "params"),
    [("A", 132_868_840), ("B", 133_053_736), ("C", 133_647_400), ("D", 138_365_992), ("E", 143_678_248)],
)
def test_batch_norm_adds_its_scales_and_shifts_and_no_macs(name: str, params: int):
    plain, normed = summary(network(name)), summary(network(f"{name}_bn"))
    assert normed.params == params == normed.params_conv + normed.params_fc + normed.params_other
    assert (normed.params_conv, normed.params_fc, normed.macs) == (plain.params_conv, plain.params_fc, plain.macs)


@pytest.mark.parametrize(
    ("size", "params", "mega_macs"),
    [(224, 43_093_322, 512.155648), (96, 22_121_802, 107.8), (64, 19_500_362, 57.3), (56, 17_927_498, 45.7)],
)
def test_thin_a_at_each_size(size: int, params: int, mega_macs: float):
    totals = summary(thin_a(size))
    assert (totals.params, totals.params_conv) == (params, 576_832)
    assert totals.macs / 1e6 == pytest.approx(mega_macs, abs=0.05)


def test_thin_a_at_224_in_full():
    totals, seen = summary(thin_a(224)), fields(thin_a(224))
    assert (totals.params_fc, totals.macs) == (42_516_490, 512_155_648)
    assert (seen["pool5"], seen["fc6"]) == (150, 342)


def test_thin_a_at_32_has_the_weights_of_56_and_fewer_macs():
    small, large = summary(thin_a(32)), summary(thin_a(56))
    assert small.params == large.params == 17_927_498
    assert small.macs / 1e6 == pytest.approx(26.9, abs=0.05)


def test_a_with_one_channel_and_ten_classes():
    totals = summary(network("A", input=(1, 224, 224), classes=10))
    assert (totals.params, totals.macs) == (128_806_154, 7_547_232_256)


def test_d_with_batch_norm_and_four_classes():
    assert summary(network("D_bn", classes=4)).params == 134_285_380


@pytest.mark.parametrize(
    ("arch", "params"), [(A, 9_231_114), (B, 9_416_010), (D, 14_728_266), (E, 20_040_522)], ids="ABDE"
)
def test_a_single_linear_layer_at_32_pixels(arch: tuple[tuple[int, int], ...], params: int):
    totals = summary(vgg(arch, input=(3, 32, 32), classes=10, fc=(), batch_norm=True))
    assert (totals.params, totals.params_fc) == (params, 5_130)


def test_resnet_50_has_its_published_counts():
    totals = summary(network("resnet50"))
    assert (totals.params, round(totals.macs / 1e9, 3)) == (25_557_032, 4.089)


@pytest.mark.parametrize(
    ("name", "depth"),
    [
        *(("A", 11), ("B", 13), ("C", 16), ("D", 16), ("E", 19), ("lenet5", 5), ("alexnet", 8), ("googlenet", 22)),
        *(("resnet18", 18), ("resnet50", 50), ("resnet152", 152), ("resnet110_cifar", 110)),
    ],
)
def test_depth_is_the_number_in_the_papers(name: str, depth: int):
    assert summary(network(name)).depth == depth


@pytest.mark.parametrize("name", CATALOG)
def test_the_rows_are_the_layers_of_the_walk_and_sum_to_the_totals(name: str):
    described, totals = network(name), summary(network(name))
    rows, steps = table(described), walk(described)
    assert [(row.block, row.name, row.shape) for row in rows] == [
        (step.block, step.layer.name, step.after.shape) for step in steps
    ]
    assert sum(row.params for row in rows) == totals.params
    assert sum(row.macs for row in rows) == totals.macs == totals.flops // 2


def test_a_row_says_what_the_layer_is_and_sees():
    row = table(network("D"))[0]
    assert (row.block, row.name, row.kind, row.shape) == ("block1", "conv1_1", "Conv", (64, 224, 224))
    assert (row.params, row.macs, row.flops, row.activation_bytes) == (1_792, 86_704_128, 173_408_256, 12_845_056)
    assert (row.receptive_field, row.step) == (3, 1)


def wide_kernel(input: Shape) -> Network:
    layers = (conv("conv1", 2, kernel=(1, 3), stride=(1, 2)), Flatten("flatten"), Linear("fc2", 3))
    return Network("wide", input, (Block("block1", layers),))


def test_lengths_that_differ_are_pairs_vertical_first():
    row = table(wide_kernel((1, 3, 9)))[0]
    assert (row.receptive_field, row.step) == ((1, 3), (1, 2))
    assert to_json(wide_kernel((1, 3, 9)))["layers"][0]["receptive_field"] == [1, 3]
    assert "  1x3   1x2" in to_text(wide_kernel((1, 3, 9)))


def test_json_has_the_keys_of_the_contract_and_only_json_values():
    record = to_json(network("googlenet"))
    assert record == json.loads(json.dumps(record))
    assert {"name", "input", "source", "notes", "params", "params_conv", "params_fc", "macs", "flops"} < set(record)
    assert {"layers", "training_bytes", "inference_bytes", "depth"} < set(record)
    keys = "block name kind shape params macs flops activation_bytes receptive_field step"
    assert all(set(layer) == set(keys.split()) for layer in record["layers"])
    assert record["layers"][0]["kind"] == "Conv"


def test_notes_of_the_network_are_printed():
    small = network("A", input=(3, 20, 20))
    assert small.notes
    for written in (to_text(small), to_markdown(small)):
        assert small.notes[0] in written
    assert to_json(small)["notes"] == list(small.notes)


@pytest.mark.parametrize("name", ["vgg16", "lenet5", "googlenet"])
def test_the_text_is_the_reviewed_one(name: str, golden: Callable[[str, str], None]):
    golden(f"{name}.txt", to_text(network(name)))


@pytest.mark.parametrize("name", CATALOG)
def test_lines_of_text_end_without_blanks_and_columns_stand_under_their_heads(name: str):
    lines = to_text(network(name)).split("\n")
    assert all(line == line.rstrip() for line in lines)
    rule = next(line for line in lines if line.startswith("---"))
    body = lines[lines.index(rule) + 1 : lines.index("", lines.index(rule))]
    ends = [end for end in range(len(rule)) if rule[end] == " "]
    assert all(line.ljust(len(rule))[end] == " " for line in body for end in ends)


def test_markdown_has_equal_cells_in_every_line():
    lines = [line for line in to_markdown(network("resnet18")).splitlines() if line.startswith("|")]
    assert len(lines) == 2 + len(table(network("resnet18")))
    assert {line.count("|") for line in lines} == {10}


def test_names_cannot_break_the_markdown_or_the_lines():
    odd = Network("a|b <i>\n\x1bc", (1, 4, 4), (Block("block1", (pool("pool1"),)),), source="x | <b>")
    written = to_markdown(odd)
    assert "**a\\|b &lt;i>  c** (x \\| &lt;b>)" in written
    assert to_text(odd).splitlines()[0] == "a|b <i>  c"


def test_layers_inside_a_path_are_indented():
    inner = (conv("inside", 1, kernel=1),)
    nested = Parallel("outer", (inner, (Parallel("middle", ((conv("deep", 1, kernel=1),), ()), "add"),)), "concat")
    text = to_text(Network("nested", (1, 4, 4), (Block("block1", (nested,)),)))
    assert "  block1    inside" not in text
    assert [line.partition("block1")[2][:12].rstrip() for line in text.splitlines() if "inside" in line] == [
        "    inside"
    ]
    assert "          deep " in text
    assert "\n        outer" in text


def test_no_framework_is_imported():
    program = """
import sys
from verydeep.families.catalog import network
from verydeep.report import draw, table
from verydeep.report.source.frameworks import FRAMEWORKS, code
net = network("D")
table.to_text(net), draw.draw(net), [code(net, framework=name) for name in FRAMEWORKS]
print([name for name in ("torch", "numpy", "PIL", "keras", "jax", "mxnet") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
