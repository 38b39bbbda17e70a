"""Two processes are one: the same weights after twenty steps, and every image counted once."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from time import monotonic, sleep

import numpy as np
import pytest

from verydeep.evaluation.evaluate import evaluate
from verydeep.run import open_run

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


@pytest.fixture(scope="module")
def in_two(tmp_path_factory):
    """A run of two processes with batch norm, an average, pieces and dropout; and what was printed."""
    folder = tmp_path_factory.mktemp("two") / "run"
    return folder, _command("train", *OPTIONS, "--out", str(folder))


OPTIONS = [
    "--arch",
    "1x4,1x8",
    "--batch-norm",
    "--fc",
    "16",
    "--epochs",
    "2",
    "--ema",
    "0.9",
    "--accumulate",
    "2",
    "--patience",
    "5",
    "--workers",
    "0",
]


def _command(*words: str, world: int = 2) -> str:
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(world)] if world > 1 else []
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    return _succeed([sys.executable, *launcher, "-m", "verydeep", *words], environment)


def test_one_process_speaks_and_writes_for_both(in_two):
    folder, said = in_two
    assert said.count("epoch  train loss") == 1
    assert json.loads((folder / "result.json").read_text())["evaluation"]["count"] == 360


def test_what_two_processes_report_is_what_the_model_that_they_leave_does(in_two):
    folder, _ = in_two
    reported = json.loads((folder / "result.json").read_text())["evaluation"]
    found = evaluate(folder)
    assert found.top1 == reported["top1"]
    assert found.loss == pytest.approx(reported["loss"], rel=1e-6)
    validated = evaluate(folder, split="validation")
    best = max(open_run(folder).history, key=lambda row: row["val_top1"])
    assert validated.loss == pytest.approx(best["val_loss"], rel=1e-6)


@pytest.mark.slow
def test_two_processes_killed_in_an_epoch_go_on_to_the_same_bits(in_two, tmp_path: Path):
    whole, _ = in_two
    folder = tmp_path / "run"
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "verydeep"]
    options = ["train", *OPTIONS, "--checkpoint-every", "3", "--out", str(folder)]
    started = subprocess.Popen([*command, *options], env=environment, start_new_session=True)
    _wait_for(folder / "checkpoints" / "step-00000003")
    os.killpg(started.pid, signal.SIGKILL)
    started.wait()
    _command("resume", str(folder))
    for name in ("model.safetensors", "metrics.jsonl"):
        assert (folder / name).read_bytes() == (whole / name).read_bytes()


def test_an_error_of_one_process_is_one_line_and_the_other_says_that_it_lost_it(tmp_path: Path):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.tex").touch()
    launcher = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        "-m",
        "verydeep",
    ]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [*launcher, "train", "--out", str(tmp_path / "taken")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode != 0
    assert "error[OUT-TAKEN]" in done.stderr
    ours = done.stderr.split("torch/distributed/elastic")[0]
    assert "Traceback" not in ours


def _wait_for(path: Path) -> None:
    deadline = monotonic() + 120
    while not path.exists():
        assert monotonic() < deadline, f"{path} did not come"
        sleep(0.02)
