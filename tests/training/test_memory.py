"""What is freed is kept: the system is asked once for a large block, not in every step."""

import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
import numpy as np
from verydeep.training.memory import keep_large_blocks
if sys.argv[1] == "keep":
    keep_large_blocks()
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(2**24, np.float32)  # 64 MB, written and freed
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(min(faults() for _ in range(3)))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="another C library than glibc")
def test_a_large_block_is_asked_for_once():
    kept, given_back = (
        int(subprocess.run([sys.executable, "-c", FAULTS, word], check=True, capture_output=True, text=True).stdout)
        for word in ("keep", "give back")
    )
    assert kept <= given_back / 4


def test_elsewhere_nothing_is_touched(monkeypatch):
    from verydeep.training import memory

    monkeypatch.setattr(memory.sys, "platform", "darwin")
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: pytest.fail("the C library was opened"))
    memory.keep_large_blocks()
