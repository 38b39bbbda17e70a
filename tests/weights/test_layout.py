"""Axes written in letters: there and back, for every pattern that a program has."""

import numpy as np
import pytest

from verydeep.backends.check import sample_weights
from verydeep.errors import WeightsError
from verydeep.families.vgg import vgg
from verydeep.weights.layout import from_ours, stored, to_ours

NET = vgg(((1, 2), (1, 3)), input=(3, 12, 8), classes=4, fc=(6, 5))  # fc3 reads a map of 3 channels, 3 high, 2 wide
WEIGHTS = sample_weights(NET)
KEYS = {name: name.upper() for name in WEIGHTS}


@pytest.mark.parametrize("kernel", ["O I H W", "H W I O", "W H I O", "(O I) (H W)"])
@pytest.mark.parametrize("matrix", ["O (I H W)", "(H W I) O", "(I H W) O", "H W I O", "O I H W"])
def test_what_goes_out_comes_back_exactly(kernel, matrix):
    places = stored(NET, KEYS, kernel=kernel, matrix=matrix, head="(H W I) O")
    state = from_ours(NET, WEIGHTS, places=places)
    assert {key: array.shape for key, array in state.items()} == {place.key: place.shape for place in places.values()}
    assert all(array.flags.c_contiguous for array in state.values())  # as files want them
    back = to_ours(NET, state, places=places)
    assert list(back) == list(WEIGHTS)
    assert all(np.array_equal(back[name], array) and back[name].shape == array.shape for name, array in WEIGHTS.items())


def test_each_number_goes_where_the_letters_say():
    places = stored(NET, KEYS, kernel="H W I O", matrix="(H W I) O")
    state = from_ours(NET, WEIGHTS, places=places)
    kernel, matrix = WEIGHTS["conv2_1.weight"], WEIGHTS["fc3.weight"]
    assert state["CONV2_1.WEIGHT"][0, 2, 1, 2] == kernel[2, 1, 0, 2]  # row 0, column 2, input 1, output 2
    channel, row, column, output = 1, 2, 0, 5
    ours, theirs = (channel * 3 + row) * 2 + column, (row * 2 + column) * 3 + channel
    assert state["FC3.WEIGHT"][theirs, output] == matrix[output, ours]
    assert np.array_equal(state["FC4.WEIGHT"], WEIGHTS["fc4.weight"].T)  # reads no map


def test_a_wrong_shape_is_named_in_the_programs_axes():
    places = stored(NET, KEYS, kernel="H W I O", matrix="(H W I) O")
    state = from_ours(NET, WEIGHTS, places=places)
    with pytest.raises(WeightsError, match=r"FC3\.WEIGHT is \(6, 18\), not \(18, 6\)"):
        to_ours(NET, {**state, "FC3.WEIGHT": state["FC3.WEIGHT"].T}, places=places)


def test_weights_of_another_network_are_not_written():
    with pytest.raises(WeightsError, match=r"missing: fc5\.bias"):
        from_ours(NET, {name: WEIGHTS[name] for name in list(WEIGHTS)[:-1]}, places=stored(NET, KEYS))
