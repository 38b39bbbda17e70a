"""A network answers to the paper's name and to the usual one; what it does not have is refused with what it has."""

import pytest

from verydeep.errors import ConfigError
from verydeep.families.catalog import CATALOG, PAPER_NAMES, network, resolve


@pytest.mark.parametrize("name", CATALOG)
def test_every_network_in_the_catalogue_is_called_what_it_is_called_there(name: str):
    built = network(name)
    assert built.name == name
    assert built.source


@pytest.mark.parametrize(
    ("paper", "usual"),
    [
        ("A", "vgg11"),
        ("A-LRN", "vgg11_lrn"),
        ("B", "vgg13"),
        ("C", "vgg16_1x1"),
        ("D", "vgg16"),
        ("E", "vgg19"),
        ("shallow", "vgg_shallow"),
    ],
)
def test_a_column_answers_to_the_papers_name_and_to_the_usual_one(paper: str, usual: str):
    assert PAPER_NAMES[paper] == usual
    assert network(paper) == network(usual)
    assert network(f"{paper}_bn") == network(f"{usual}_bn")
    assert network(paper) != network(f"{paper}_bn")


@pytest.mark.parametrize(
    ("written", "known"),
    [
        ("d", "vgg16"),
        ("a-lrn", "vgg11_lrn"),
        ("A_LRN", "vgg11_lrn"),
        ("A-LRN-BN", "vgg11_lrn_bn"),
        ("VGG16", "vgg16"),
        ("VGG16-BN", "vgg16_bn"),
        ("D-bn", "vgg16_bn"),
        ("Vgg16_1x1", "vgg16_1x1"),
        ("ResNet50", "resnet50"),
        ("LeNet5", "lenet5"),
        ("resnet20-CIFAR", "resnet20_cifar"),
    ],
)
def test_case_and_hyphens_do_not_matter(written: str, known: str):
    assert resolve(written) == known


@pytest.mark.parametrize(
    ("written", "meant"), [("vgg61", "vgg16"), ("resnet51", "resnet50"), ("alexnett", "alexnet"), ("lenet", "lenet5")]
)
def test_an_unknown_name_is_refused_with_the_nearest_ones(written: str, meant: str):
    with pytest.raises(ConfigError) as caught:
        network(written)
    assert caught.value.code == "NET-UNKNOWN"
    assert str(caught.value).startswith(f"no network is called {written!r}. Did you mean ")
    assert meant in caught.value.hint


def test_a_name_like_no_other_is_refused_with_where_to_look():
    with pytest.raises(ConfigError) as caught:
        network("quicksort")
    assert str(caught.value) == "no network is called 'quicksort'. `verydeep list` shows all."


def test_an_option_that_a_family_does_not_have_is_refused_with_those_it_has():
    with pytest.raises(ConfigError) as caught:
        network("resnet50", dropout=0.5)
    assert caught.value.code == "NET-OPTION"
    assert str(caught.value) == "resnet50 has no option 'dropout'. It takes input, classes, width."


@pytest.mark.parametrize("name", ["lenet5", "googlenet", "nin", "resnet18", "mnist_cnn"])
def test_only_vgg_and_alexnet_have_hidden_layers_to_choose(name: str):
    with pytest.raises(ConfigError, match="has no option 'fc'"):
        network(name, fc=(10,))


@pytest.mark.parametrize("name", CATALOG)
def test_every_network_takes_another_number_of_classes(name: str):
    assert network(name, classes=7).classes == 7


@pytest.mark.parametrize("name", CATALOG)
def test_every_network_takes_another_number_of_input_channels(name: str):
    _, height, width = network(name).input
    assert network(name, input=(2, height, width)).input == (2, height, width)


@pytest.mark.parametrize("name", CATALOG)
def test_half_the_width_is_still_a_network(name: str):
    assert network(name, width=0.5).output.shape == network(name).output.shape


def test_blocks_are_an_option_of_the_columns_alone():
    assert network("D", blocks=3, width=0.5) == CATALOG["vgg16"](blocks=3, width=0.5)
    with pytest.raises(ConfigError, match="resnet18 has no option 'blocks'"):
        network("resnet18", blocks=3)


def test_dropout_and_hidden_layers_reach_the_network():
    assert network("alexnet", fc=(10,), dropout=0.1) == CATALOG["alexnet"](fc=(10,), dropout=0.1)
