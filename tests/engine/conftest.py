"""What the tests of the engine share: the compiled kernels, and a library that takes nothing."""

import shutil

import pytest

from tests.engine.no_kernels import NoKernels
from verydeep.engine import library


@pytest.fixture
def compiled() -> None:
    """The kernels are here; where there is a compiler they must be."""
    if (why := library.why_not()) is not None:
        if not any(map(shutil.which, ("c++", "g++", "clang++"))):
            pytest.skip("no kernels without a C++ compiler")
        pytest.fail(f"{why}; run pip install -e . again")


@pytest.fixture
def no_kernels(monkeypatch) -> NoKernels:
    """A library of which no kernel takes anything, so that PyTorch computes every step of an engine's plan."""
    double = NoKernels()
    monkeypatch.setattr(library, "load", lambda: double)
    return double
