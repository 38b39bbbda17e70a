"""Twenty steps of SGD by Optax follow PyTorch's losses."""

import pytest

from tests.in_flax import process


def test_flax_follows_the_losses_of_pytorch():
    pytest.importorskip("flax")
    print(process.run_tests("test_twin.py"))
