"""State dicts in memory: tensors of any kind as arrays."""

import numpy as np
import pytest
import torch

from verydeep.errors import WeightsError
from verydeep.weights import state_dict


@pytest.mark.parametrize(
    "tensor",
    [
        torch.zeros(3, dtype=torch.complex64).conj(),
        torch.zeros(3, device="meta"),
        torch.zeros(2, 2).to_sparse(),
    ],
)
def test_tensors_that_are_no_ordinary_arrays_are_refused_and_named(tensor):
    with pytest.raises(WeightsError, match="odd is no ordinary tensor"):
        state_dict.arrays({"odd": tensor})


def test_a_tensor_that_claims_more_numbers_than_it_stores_is_refused():
    with pytest.raises(WeightsError, match="a claims 10000000000 numbers"):
        state_dict.arrays({"a": torch.zeros(1).expand(10**10)})


def test_types_that_numpy_lacks_come_as_float32():
    tensor = torch.randn(5).bfloat16()
    found = state_dict.arrays({"a": tensor})["a"]
    assert found.dtype == np.float32
    assert np.array_equal(found, tensor.float().numpy())


def test_other_tensors_share_their_memory():
    tensor = torch.zeros(3)
    state_dict.arrays({"a": tensor})["a"][0] = 7
    assert tensor[0] == 7


def test_parameters_need_not_be_detached():
    assert state_dict.arrays({"a": torch.nn.Parameter(torch.ones(2))})["a"].sum() == 2
