"""The library under test, with each instruction set that this processor has in turn.

VERYDEEP_KERNELS names another library than the installed one: one that was compiled with sanitizers, for instance.
"""

import ctypes
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from verydeep.engine import library

if other := os.environ.get("VERYDEEP_KERNELS"):
    library.LIBRARY = Path(other)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "kernels" in metafunc.fixturenames:
        sets = library.instruction_sets() or ("no library",)
        metafunc.parametrize("kernels", sets, indirect=True, scope="module")


@pytest.fixture(scope="module")
def kernels(request: pytest.FixtureRequest) -> Iterator[ctypes.CDLL]:
    """The kernels, which run with the instruction set of the test's name."""
    if (why := library.why_not()) is not None:
        if not any(map(shutil.which, ("c++", "g++", "clang++"))):
            pytest.skip("no kernels without a C++ compiler")
        pytest.fail(f"{why}; run pip install -e . again")
    face, before = library.load(), library.active()
    assert face.vd_use_isa(request.param.encode()) == library.OK
    yield face
    face.vd_use_isa(before.encode())
