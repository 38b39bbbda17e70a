"""Random numbers made on a device are those of the CPU, bit for bit."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from verydeep.data import device_draws
from verydeep.data.augment import DRAWS
from verydeep.data.batches import permutation
from verydeep.data.draws import draws

CPU = torch.device("cpu")


@given(seed=st.integers(0, 2**32 - 1), epoch=st.integers(0, 10**6), first=st.integers(0, 10**9))
def test_every_draw_is_that_of_the_host(seed: int, epoch: int, first: int):
    indices = np.arange(first, first + 17)
    expected = draws(seed, epoch=epoch, indices=indices, count=DRAWS)
    for which in range(DRAWS):
        found = device_draws.draws(seed, epoch=epoch, indices=torch.from_numpy(indices), which=which)
        assert found.numpy().tobytes() == expected[:, which].tobytes()


@pytest.mark.parametrize("n", [0, 1, 2, 50_000])
def test_an_epoch_has_the_order_of_the_host(n: int):
    found = device_draws.permutation(n, seed=3, epoch=5, device=CPU)
    assert np.array_equal(found.numpy(), permutation(n, seed=3, epoch=5))
