"""MXNet's environment as our tests see it: a Python of its own, called as a process, answering on standard output."""

import os
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
FOLDER = Path(__file__).parent


def python() -> Path:
    """The Python that has MXNet: VERYDEEP_MXNET_PYTHON, or that of .venv-mxnet; the test is skipped without one."""
    found = Path(os.environ.get("VERYDEEP_MXNET_PYTHON") or REPOSITORY / ".venv-mxnet" / "bin" / "python")
    if not found.is_file():
        pytest.skip(f"there is no {found.name} with MXNet at {found.parent}: scripts/mxnet-env makes the environment")
    return found


def run(*arguments: str | Path, folder: Path = REPOSITORY) -> str:
    """What Python prints there with these arguments, in `folder`; the repository's modules can be imported."""
    done = subprocess.run(
        [python(), *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def run_tests(file: str) -> str:
    """The report of pytest there on one file of this folder."""
    return run("-m", "pytest", "-q", "-p", "no:cacheprovider", file, folder=FOLDER)
