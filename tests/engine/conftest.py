"""What the tests of the engine share: a library of kernels that takes nothing."""

import pytest

from tests.engine.no_kernels import NoKernels
from verydeep.engine import library


@pytest.fixture
def no_kernels(monkeypatch) -> NoKernels:
    """A library of which no kernel takes anything, so that PyTorch computes every step of an engine's plan."""
    double = NoKernels()
    monkeypatch.setattr(library, "load", lambda: double)
    return double
