"""The loop of the book in Flax, on a few real images at a small size."""

import pytest

from tests.in_flax import process


def test_the_network_learns():
    pytest.importorskip("flax")
    print(process.run_tests("test_example.py"))
