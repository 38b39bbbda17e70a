"""The Flax source of a network runs alone and computes what the built network does."""

import pytest

from tests.in_flax import process


def test_the_source_of_every_network_runs_alone():
    pytest.importorskip("flax")
    print(process.run_tests("test_source.py"))
