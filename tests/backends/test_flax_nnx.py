"""A network built for Flax is an ordinary NNX module."""

import pytest

from tests.in_flax import process


def test_the_model_is_one_of_flax():
    pytest.importorskip("flax")
    print(process.run_tests("test_model.py"))
