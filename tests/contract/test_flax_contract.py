"""Flax keeps the contract of backends: every network of the catalogue and the odd ones."""

import pytest

from tests.in_flax import process


def test_every_network_agrees_with_the_reference_and_mistakes_are_refused():
    pytest.importorskip("flax")
    print(process.run_tests("test_contract.py"))
