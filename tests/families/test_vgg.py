"""VGG is the paper's: every number of Table 1 and of its variants follows from the description."""

import pytest

from tests.families.counts import macs, names, parameters, receptive_field
from verydeep.errors import SpecError
from verydeep.families.catalog import network
from verydeep.families.vgg import COLUMNS, column, vgg, vgg_block
from verydeep.spec import LRN, Conv, Dropout, Linear, Network, walk

A = ((1, 64), (1, 128), (2, 256), (2, 512), (2, 512))
THIN = ((1, 16), (1, 32), (2, 64), (2, 128), (2, 128))
COLUMN_NAMES = tuple(COLUMNS)
DEEP = ("B", "C", "D", "E")


def convolutions(net: Network) -> list[Conv]:
    return [step.layer for step in walk(net) if isinstance(step.layer, Conv)]


# Table 1, at 224x224 with 1000 classes


@pytest.mark.parametrize(
    ("letter", "total"),
    [
        ("A", 132_863_336),
        ("A-LRN", 132_863_336),
        ("B", 133_047_848),
        ("C", 133_638_952),
        ("D", 138_357_544),
        ("E", 143_667_240),
        ("shallow", 134_503_528),
    ],
)
def test_a_column_has_this_many_parameters(letter: str, total: int):
    assert parameters(column(letter)) == total


@pytest.mark.parametrize(
    ("letter", "of_convolutions"),
    [
        ("A", 9_220_480),
        ("A-LRN", 9_220_480),
        ("B", 9_404_992),
        ("C", 9_996_096),
        ("D", 14_714_688),
        ("E", 20_024_384),
        ("shallow", 10_860_672),
    ],
)
def test_the_convolutions_of_a_column_have_this_many_parameters(letter: str, of_convolutions: int):
    assert parameters(column(letter), kind=Conv) == of_convolutions


@pytest.mark.parametrize("letter", COLUMN_NAMES)
def test_the_fully_connected_layers_are_the_same_in_every_column(letter: str):
    assert parameters(column(letter), kind=Linear) == 123_642_856


@pytest.mark.parametrize(
    ("letter", "total"),
    [("A", 132_868_840), ("B", 133_053_736), ("C", 133_647_400), ("D", 138_365_992), ("E", 143_678_248)],
)
def test_a_column_with_batch_norm_has_this_many_parameters(letter: str, total: int):
    assert parameters(column(letter, batch_norm=True)) == total


@pytest.mark.parametrize(
    ("letter", "cost"),
    [
        ("A", 7_609_090_048),
        ("A-LRN", 7_609_090_048),
        ("B", 11_308_466_176),
        ("C", 11_770_888_192),
        ("D", 15_470_264_320),
        ("E", 19_632_062_464),
        ("shallow", 9_356_017_664),
    ],
)
def test_a_column_costs_this_many_multiplications(letter: str, cost: int):
    assert macs(column(letter)) == cost


@pytest.mark.parametrize(
    ("letter", "at_pool5", "of_fc6"),
    [
        ("A", 150, 342),
        ("A-LRN", 150, 342),
        ("B", 156, 348),
        ("C", 156, 348),
        ("D", 212, 404),
        ("E", 268, 460),
        ("shallow", 156, 348),
    ],
)
def test_a_position_sees_this_many_pixels(letter: str, at_pool5: int, of_fc6: int):
    assert receptive_field(column(letter), "pool5") == at_pool5
    assert receptive_field(column(letter), "fc6") == of_fc6


@pytest.mark.parametrize(
    ("letter", "layers"),
    [("A", 11), ("A-LRN", 11), ("B", 13), ("C", 16), ("D", 16), ("E", 19), ("shallow", 8)],
)
def test_a_column_has_this_many_weight_layers(letter: str, layers: int):
    assert sum(isinstance(step.layer, Conv | Linear) for step in walk(column(letter))) == layers


@pytest.mark.parametrize("letter", COLUMN_NAMES)
def test_blocks_halve_the_map_from_224_to_7(letter: str):
    pooled = [step.after.shape for step in walk(column(letter)) if step.layer.name.startswith("pool")]
    assert pooled == [(64, 112, 112), (128, 56, 56), (256, 28, 28), (512, 14, 14), (512, 7, 7)]


# What tells the columns apart


def test_the_layers_of_column_a_have_the_papers_names():
    assert names(column("A")) == [
        *("conv1_1", "relu1_1", "pool1"),
        *("conv2_1", "relu2_1", "pool2"),
        *("conv3_1", "relu3_1", "conv3_2", "relu3_2", "pool3"),
        *("conv4_1", "relu4_1", "conv4_2", "relu4_2", "pool4"),
        *("conv5_1", "relu5_1", "conv5_2", "relu5_2", "pool5"),
        *("flatten", "fc6", "relu6", "drop6", "fc7", "relu7", "drop7", "fc8"),
    ]


def test_only_a_lrn_normalises_and_only_after_its_first_convolution():
    found = names(column("A-LRN"))
    assert found[:4] == ["conv1_1", "relu1_1", "norm1_1", "pool1"]
    assert [name for name in found if name != "norm1_1"] == names(column("A"))
    (norm,) = (step.layer for step in walk(column("A-LRN")) if isinstance(step.layer, LRN))
    assert norm == LRN("norm1_1", size=5, alpha=1e-4, beta=0.75, k=2.0)
    for letter in COLUMN_NAMES:
        assert letter == "A-LRN" or not any(isinstance(step.layer, LRN) for step in walk(column(letter)))


def test_column_c_ends_blocks_3_to_5_with_a_1x1_convolution():
    ones = [layer.name for layer in convolutions(column("C")) if layer.kernel == (1, 1)]
    assert ones == ["conv3_3", "conv4_3", "conv5_3"]
    assert {layer.kernel for layer in convolutions(column("C"))} == {(1, 1), (3, 3)}


@pytest.mark.parametrize("letter", ["A", "A-LRN", "B", "D", "E"])
def test_every_other_column_has_3x3_convolutions_only(letter: str):
    assert {layer.kernel for layer in convolutions(column(letter))} == {(3, 3)}


def test_the_shallow_net_has_one_5x5_where_b_has_two_3x3():
    shallow = convolutions(column("shallow"))
    assert [(layer.kernel, layer.channels) for layer in shallow] == [((5, 5), n) for n in (64, 128, 256, 512, 512)]
    assert receptive_field(column("shallow"), "pool5") == receptive_field(column("B"), "pool5")


@pytest.mark.parametrize("letter", DEEP)
def test_what_net_a_lends_to_deeper_nets_has_the_same_names_and_reads_the_same_channels(letter: str):
    lent = ("conv1_1", "conv2_1", "conv3_1", "conv3_2", "fc6", "fc7", "fc8")

    def shapes(net: Network) -> dict[str, tuple[int, ...]]:
        return {s.layer.name: s.layer.weights(s.before)[0].shape for s in walk(net) if s.layer.name in lent}

    ours, theirs = shapes(column("A")), shapes(column(letter))
    assert tuple(theirs) == lent
    # conv2_1 of A reads block 1's 64 channels, as in every deeper net, and conv3_1 block 2's 128.
    assert ours == theirs


@pytest.mark.parametrize("letter", COLUMN_NAMES)
def test_batch_norm_stands_between_every_convolution_and_its_relu(letter: str):
    found = names(column(letter, batch_norm=True))
    for index, name in enumerate(found):
        if name.startswith("conv"):
            number = name.removeprefix("conv")
            assert found[index : index + 3] == [name, f"bn{number}", f"relu{number}"]
    assert [name for name in found if not name.startswith("bn")] == names(column(letter))


# Options


def test_a_block_is_what_every_student_knows():
    block = vgg_block(3, num_convs=2, channels=256)
    assert block.name == "block3"
    assert [layer.name for layer in block.layers] == ["conv3_1", "relu3_1", "conv3_2", "relu3_2", "pool3"]
    assert block == column("A").blocks[2]


def test_a_column_is_an_arch_like_any_other():
    assert vgg(A).blocks == column("A").blocks
    assert vgg(A, batch_norm=True, fc=(9,), dropout=0).blocks == column("A", batch_norm=True, fc=(9,), dropout=0).blocks


@pytest.mark.parametrize(
    ("size", "total"), [(224, 43_093_322), (96, 22_121_802), (64, 19_500_362), (56, 17_927_498), (32, 17_927_498)]
)
def test_the_thin_net_on_one_channel_and_ten_classes_shrinks_with_the_image(size: int, total: int):
    thin = vgg(THIN, input=(1, size, size), classes=10)
    assert parameters(thin) == total
    assert parameters(thin, kind=Conv) == 576_832


def test_the_thin_net_at_224_costs_half_a_billion_multiplications_and_sees_what_column_a_sees():
    thin = vgg(THIN, input=(1, 224, 224), classes=10)
    assert parameters(thin, kind=Linear) == 42_516_490
    assert macs(thin) == 512_155_648
    assert (receptive_field(thin, "pool5"), receptive_field(thin, "fc6")) == (150, 342)


@pytest.mark.parametrize(("size", "millions"), [(96, 107.8), (64, 57.3), (56, 45.7), (32, 26.9)])
def test_the_thin_net_costs_this_many_million_multiplications(size: int, millions: float):
    assert round(macs(vgg(THIN, input=(1, size, size), classes=10)) / 1e6, 1) == millions


def test_column_a_on_grey_images_of_ten_classes():
    grey = column("A", input=(1, 224, 224), classes=10)
    assert parameters(grey) == 128_806_154
    assert macs(grey) == 7_547_232_256


def test_column_d_with_batch_norm_and_four_classes_has_134_million_parameters():
    assert parameters(column("D", batch_norm=True, classes=4)) == 134_285_380


@pytest.mark.parametrize(
    ("letter", "total"), [("A", 9_231_114), ("B", 9_416_010), ("D", 14_728_266), ("E", 20_040_522)]
)
def test_a_column_for_cifar_with_a_single_linear_layer(letter: str, total: int):
    small = column(letter, input=(3, 32, 32), classes=10, fc=(), batch_norm=True)
    assert parameters(small) == total
    assert parameters(small, kind=Linear) == 5_130
    assert names(small)[-3:] == ["pool5", "flatten", "fc6"]


@pytest.mark.parametrize("letter", COLUMN_NAMES)
def test_an_image_of_28_pixels_leaves_out_pool5_and_says_so(letter: str):
    small = column(letter, input=(1, 28, 28), classes=10)
    assert small.notes == ("pool5 is left out: its 2x2 window does not fit the 1x1 map",)
    assert "pool5" not in names(small)
    assert "pool4" in names(small)
    assert small.output.shape == (10,)


def test_an_image_of_32_pixels_keeps_all_five_pools():
    small = column("D", input=(3, 32, 32))
    assert small.notes == ()
    assert [name for name in names(small) if name.startswith("pool")] == ["pool1", "pool2", "pool3", "pool4", "pool5"]


def test_a_flat_rectangle_leaves_out_what_fits_in_one_direction_only():
    small = column("A", input=(3, 64, 6))
    assert small.notes == (
        "pool3 is left out: its 2x2 window does not fit the 16x1 map",
        "pool4 is left out: its 2x2 window does not fit the 16x1 map",
        "pool5 is left out: its 2x2 window does not fit the 16x1 map",
    )


def test_one_pixel_is_an_image_too():
    assert column("A", input=(3, 1, 1), classes=2).output.shape == (2,)


@pytest.mark.parametrize(("width", "channels"), [(0.5, [32, 64, 128, 256, 256]), (2, [128, 256, 512, 1024, 1024])])
def test_width_multiplies_the_channels_of_convolutions_only(width: float, channels: list[int]):
    wide = column("B", width=width)
    assert [layer.channels for layer in convolutions(wide)[::2]] == channels
    assert [step.layer.features for step in walk(wide) if isinstance(step.layer, Linear)] == [4096, 4096, 1000]


def test_the_thin_net_is_column_a_at_a_quarter_of_the_width():
    assert vgg(THIN).blocks == column("A", width=0.25).blocks


def test_the_narrowest_net_still_has_one_channel():
    assert {layer.channels for layer in convolutions(column("A", width=1e-6))} == {1}


@pytest.mark.parametrize("width", [0, -1, 65, float("nan")])
def test_a_width_out_of_range_is_refused(width: float):
    with pytest.raises(SpecError, match=r"^width is a factor above 0 and at most 64, not "):
        column("A", width=width)


@pytest.mark.parametrize(("fc", "last"), [((), "fc6"), ((512,), "fc7"), ((100, 50, 20), "fc9")])
def test_the_fully_connected_layers_are_numbered_on_from_the_blocks(fc: tuple[int, ...], last: str):
    net = column("A", fc=fc, classes=10)
    linear = {step.layer.name: step.layer.features for step in walk(net) if isinstance(step.layer, Linear)}
    assert tuple(linear.values()) == (*fc, 10)
    assert list(linear)[-1] == last


def test_three_blocks_are_followed_by_fc4():
    assert names(vgg(((1, 16), (1, 32), (2, 64)), input=(1, 28, 28), fc=(9,)))[-5:] == [
        "flatten",
        "fc4",
        "relu4",
        "drop4",
        "fc5",
    ]


FIRST_THREE = {  # convolutions, and the parameters of three blocks at half the width on 28x28 pixels, fc 256 twice
    "A": ("conv1_1 conv2_1 conv3_1 conv3_2", 604_362),
    "B": ("conv1_1 conv1_2 conv2_1 conv2_2 conv3_1 conv3_2", 650_538),
    "C": ("conv1_1 conv1_2 conv2_1 conv2_2 conv3_1 conv3_2 conv3_3", 667_050),
    "D": ("conv1_1 conv1_2 conv2_1 conv2_2 conv3_1 conv3_2 conv3_3", 798_122),
    "E": ("conv1_1 conv1_2 conv2_1 conv2_2 conv3_1 conv3_2 conv3_3 conv3_4", 945_706),
    "shallow": ("conv1_1 conv2_1 conv3_1", 622_154),
}


@pytest.mark.parametrize("letter", FIRST_THREE)
def test_the_first_blocks_of_a_column_keep_the_names_of_their_layers(letter: str):
    thin = column(letter, blocks=3, width=0.5, fc=(256, 256), classes=10, input=(3, 28, 28))
    expected, total = FIRST_THREE[letter]
    assert [layer.name for layer in convolutions(thin)] == expected.split()
    assert names(thin)[-8:] == ["flatten", "fc6", "relu6", "drop6", "fc7", "relu7", "drop7", "fc8"]
    assert next(step for step in walk(thin) if step.layer.name == "fc6").before.shape == (1152,)  # 3x3 of 128
    assert parameters(thin) == total


def test_three_blocks_of_net_c_end_in_the_1x1():
    assert [layer.kernel for layer in convolutions(column("C", blocks=3))][-1] == (1, 1)


@pytest.mark.parametrize("blocks", [0, 6, -1])
def test_a_column_has_five_blocks(blocks: int):
    with pytest.raises(SpecError, match=rf"has 5 blocks; it cannot begin with {blocks} of them"):
        column("A", blocks=blocks)


def test_dropout_follows_both_hidden_layers_at_one_half():
    found = [step.layer for step in walk(column("D")) if isinstance(step.layer, Dropout)]
    assert found == [Dropout("drop6", 0.5), Dropout("drop7", 0.5)]


def test_a_dropout_of_zero_leaves_the_layers_out():
    assert [name for name in names(column("D", dropout=0)) if name.startswith("drop")] == []
    rates = [step.layer.rate for step in walk(column("D", dropout=0.2)) if isinstance(step.layer, Dropout)]
    assert rates == [0.2, 0.2]


def test_a_block_without_convolutions_is_refused():
    with pytest.raises(SpecError, match=r"^block2 of `arch` has 0 convolutions; it needs at least one$"):
        vgg(((1, 16), (0, 32)))


def test_networks_end_in_logits_and_name_their_paper():
    assert names(column("D"))[-1] == "fc8"
    assert column("D").classes == 1000
    assert "1409.1556" in column("D").source


def test_a_network_from_the_catalogue_is_the_column():
    assert network("D").blocks == column("D").blocks
