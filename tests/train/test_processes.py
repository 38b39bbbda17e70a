"""Two processes are one: the same weights after twenty steps, and every image counted once."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).with_name("two_processes.py")


def _run(world: int, out: Path) -> dict[str, np.ndarray]:
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(world)] if world > 1 else []
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    _succeed([sys.executable, *launcher, str(SCRIPT), str(out)], environment)
    return dict(np.load(out))


def _succeed(command: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stderr


@pytest.fixture(scope="module")
def one_and_two(tmp_path_factory):
    folder = tmp_path_factory.mktemp("processes")
    return _run(1, folder / "one.npz"), _run(2, folder / "two.npz")


def test_two_processes_equal_one_after_twenty_steps(one_and_two):
    one, two = one_and_two
    names = [name for name in one if name not in ("logits", "count")]
    assert len(names) == 8
    assert max(np.abs(one[name] - two[name]).max() for name in names) <= 1e-6


def test_sixty_one_images_count_sixty_one(one_and_two):
    one, two = one_and_two
    assert (int(one["count"]), int(two["count"])) == (61, 61)
    assert np.abs(one["logits"] - two["logits"]).max() <= 1e-5


@pytest.mark.slow
def test_the_command_trains_under_torchrun_and_one_process_writes(tmp_path: Path):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "verydeep"]
    options = ["train", "--epochs", "1", "--arch", "1x4,1x8", "--fc", "0", "--out", str(tmp_path / "run")]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    said = _succeed([*command, *options], environment)
    assert said.count("epoch   1") == 1
    assert json.loads((tmp_path / "run" / "result.json").read_text())["evaluation"]["count"] == 360
