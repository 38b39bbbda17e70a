"""A process in which Keras runs on the engine that a test asks for."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import pytest

Engine = Literal["tensorflow", "jax", "torch"]
ENGINES: tuple[Engine, ...] = ("tensorflow", "jax", "torch")

REPOSITORY = Path(__file__).parents[2]


def run(*arguments: str | Path, engine: Engine = "tensorflow") -> str:
    """What Python prints with these arguments; the test is skipped where Keras or the engine is not installed."""
    for package in ("keras", engine):
        if find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    variables = {
        "KERAS_BACKEND": engine,
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",  # JAX spends most of its time compiling
        "OMP_NUM_THREADS": "1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=REPOSITORY,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def run_tests(file: str, *, engine: Engine = "tensorflow") -> str:
    """The report of pytest on one file of this folder."""
    return run("-m", "pytest", "-q", "-p", "no:cacheprovider", f"tests/in_keras/{file}", engine=engine)
