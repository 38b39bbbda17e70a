"""A process in which JAX may start its threads."""

import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


def run_tests(file: str) -> str:
    """The report of pytest on one file of this folder; all in it that is not slow has passed, none was skipped."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not slow", f"tests/in_flax/{file}"],
        cwd=REPOSITORY,
        env={**os.environ, "VERYDEEP_IN_FLAX": "1"},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert "passed" in done.stdout
    assert "skipped" not in done.stdout
    return done.stdout
