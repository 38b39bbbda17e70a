import pytest

from verydeep.families.catalog import CATALOG, network
from verydeep.report.memory import inference_bytes, training_bytes
from verydeep.spec import Block, Dropout, Flatten, Layer, Linear, Network, ReLU, Shape, branch, conv, pool, residual


def of(*layers: Layer, input: Shape) -> Network:
    return Network("small", input, (Block("block1", layers),))


def test_a_chain_counted_by_hand():
    chain = of(
        *(conv("conv1", 2, kernel=3, padding=1), ReLU("relu1"), pool("pool1", kernel=2, stride=2)),
        *(Flatten("flatten"), Linear("fc2", 3), Dropout("drop2")),
        input=(1, 4, 4),
    )
    # input 16, conv 32, relu 32, pool 8, fc 3, dropout 3; Flatten is another view of the pool's 8
    assert training_bytes(chain) == 4 * (16 + 32 + 32 + 8 + 3 + 3)
    assert inference_bytes(chain) == 4 * (32 + 32)  # the convolution's output and the ReLU's


def test_dropout_does_nothing_at_inference():
    layers = (conv("conv1", 8, kernel=1), Dropout("drop1"), pool("pool1", kernel=2, stride=2))
    assert inference_bytes(of(*layers, input=(2, 4, 4))) == 4 * (32 + 128)
    assert training_bytes(of(*layers, input=(2, 4, 4))) == 4 * (32 + 128 + 128 + 32)


def test_while_a_path_runs_the_input_of_the_others_is_held():
    paths = branch(
        "join",
        (conv("conv1", 4, kernel=1), ReLU("relu1")),
        (conv("conv2", 1, kernel=1),),
    )
    # input 32, conv1 64, relu1 64, conv2 16, join 80. At relu1: 32 + 64 + 64; at the join: 64 + 16 + 80
    assert inference_bytes(of(paths, input=(2, 4, 4))) == 4 * 160
    assert training_bytes(of(paths, input=(2, 4, 4))) == 4 * (32 + 64 + 64 + 16 + 80)


def test_the_ends_of_finished_paths_are_held():
    paths = branch(
        "join",
        (conv("conv1", 1, kernel=1),),
        (conv("conv2a", 8, kernel=1), conv("conv2b", 8, kernel=1), conv("conv2c", 1, kernel=1)),
    )
    # at conv2b: conv1's 16, conv2a's 128 and its own 128; the input, 32, is no longer read
    assert inference_bytes(of(paths, input=(2, 4, 4))) == 4 * (16 + 128 + 128)


def test_an_identity_holds_the_input_until_the_sum():
    body = (conv("conv1", 8, kernel=1), ReLU("relu1"), conv("conv2", 2, kernel=1))
    # at relu1: the input's 32, conv1's 128 and its own 128
    assert inference_bytes(of(residual("add", body), input=(2, 4, 4))) == 4 * (32 + 128 + 128)


def test_an_identity_after_which_nothing_else_runs_still_holds_the_input():
    twice = residual("add", (conv("conv1", 2, kernel=1),))
    assert inference_bytes(of(twice, input=(2, 4, 4))) == 4 * (32 + 32 + 32)


def test_vgg_16_needs_its_first_two_maps_of_64_channels_at_once():
    assert inference_bytes(network("D")) == 4 * 2 * 64 * 224 * 224


def test_vgg_16_keeps_every_output_for_training():
    convolutions = 2 * 64 * 224**2 + 2 * 128 * 112**2 + 3 * 256 * 56**2 + 3 * 512 * 28**2 + 3 * 512 * 14**2
    pools = 64 * 112**2 + 128 * 56**2 + 256 * 28**2 + 512 * 14**2 + 512 * 7**2
    head = 2 * 3 * 4096 + 1000  # linear, ReLU and dropout, twice, and the logits
    assert training_bytes(network("D")) == 4 * (3 * 224**2 + 2 * convolutions + pools + head)


@pytest.mark.parametrize("name", CATALOG)
def test_inference_never_needs_more_than_training_keeps(name: str):
    assert 0 < inference_bytes(network(name)) <= training_bytes(network(name))
