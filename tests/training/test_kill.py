"""kill -9 of a real training at any moment: at most one interval is lost, and the end is the same to the bit."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from time import sleep

import pytest

ROOT = Path(__file__).parents[2]
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
OPTIONS = (
    "--arch 1x4,1x8 --batch-norm --fc 16 --dropout 0.3 --epochs 4 --ema 0.9 --patience 9 --pad 1 --checkpoint-every 3"
)


def _start(*words: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "verydeep", *words]
    return subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.PIPE, start_new_session=True)


def _finish(*words: str) -> None:
    _, said = (started := _start(*words)).communicate(timeout=300)
    assert started.returncode == 0, said.decode()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kill") / "whole"
    _finish("train", *OPTIONS.split(), "--out", str(folder))
    return folder


@pytest.mark.parametrize(
    ("trial", "kills"), [(0, 2), *(pytest.param(n, 3, marks=pytest.mark.slow) for n in range(1, 10))]
)
def test_a_training_killed_at_random_ends_with_the_same_bits(trial: int, kills: int, whole: Path, tmp_path: Path):
    chance = random.Random(trial)
    folder = tmp_path / "run"
    words = ("train", *OPTIONS.split(), "--out", str(folder))
    for _ in range(kills):
        started = _start(*words)
        while not (folder / "config.yaml").exists() and started.poll() is None:
            sleep(0.005)
        sleep(chance.uniform(0, 2.5))
        os.killpg(started.pid, signal.SIGKILL)
        started.communicate()
        words = ("resume", str(folder))
    _finish(*words)
    for name in ("model.safetensors", "metrics.jsonl"):
        assert (folder / name).read_bytes() == (whole / name).read_bytes(), f"{name} differs in trial {trial}"
    assert not list(folder.rglob("*unfinished*"))
