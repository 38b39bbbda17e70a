"""WTS-02: nothing that verydeep writes needs pickle, marshal or unsafe YAML to be read."""

import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.training.tiny import trained
from tests.untrusted.conftest import ENVIRONMENT
from tests.untrusted.poisoned import PoisonedError, raising

SCRIPT = Path(__file__).with_name("poisoned.py")


def test_a_run_is_opened_resumed_and_loaded_where_unpickling_raises(tmp_path):
    run = trained(tmp_path / "run")
    torch.save(run.model().state_dict(), run.path / "state_dict.pth")
    said = subprocess.run(
        [sys.executable, str(SCRIPT), str(run.path)],
        check=False,
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        timeout=200,
    )
    assert said.returncode == 0, said.stderr[-3000:]
    assert int(said.stdout.split()[-1]) >= 3  # the model, and weights and state of each checkpoint


def test_the_poison_works():
    with pytest.raises(PoisonedError, match=r"pickle\.loads"):
        raising("pickle.loads", pickle.loads)(b"N.")
