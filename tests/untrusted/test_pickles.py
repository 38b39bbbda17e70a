"""WTS-01: pickles that run code, in every container of weights; none of it runs."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.untrusted.conftest import ENVIRONMENT
from tests.untrusted.corpus.pickles import CONTAINERS, gadgets, random_pickle, torch_zip
from tests.untrusted.corpus.valid import torch_file

SEED = int(os.environ.get("VERYDEEP_SEED", "0"))
RANDOM_PICKLES = int(os.environ.get("VERYDEEP_TRIALS", "2000")) // 4  # WTS-01: none / 20,000
UNPICKLE = Path(__file__).with_name("unpickle.py")
UNKNOWN = ("protocol 0", "protocol 1")  # which begin like any text, so that a bare one is of no known kind


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("gadgets")


@pytest.fixture(scope="module")
def canary(folder):
    return folder / "canary"


@pytest.fixture(scope="module")
def payloads(folder, canary):
    return gadgets(folder, canary)


@pytest.mark.parametrize("container", list(CONTAINERS))
def test_no_gadget_runs_and_each_is_named(read, payloads, canary, tmp_path, container):
    for name, payload in payloads.items():
        path = tmp_path / "weights.pth"
        path.write_bytes(CONTAINERS[container](payload))
        reading = read(path)
        where = f"{name} in {container}: {reading}"
        assert reading.exit == 4, where
        assert not reading.events, where
        assert not canary.exists(), where
        if container == "bare" and name in UNKNOWN:
            assert "of no kind that is read here" in reading.error, where
            continue
        assert reading.code == "WEIGHTS-CODE", where
        assert "contains code" in reading.error, where
        assert "refused" in reading.error, where


def test_there_are_enough_gadgets_and_a_trusting_unpickler_runs_them(payloads, folder, canary):
    names = {f"{number}.pkl": name for number, name in enumerate(payloads)}
    for file, name in names.items():
        (folder / file).write_bytes(payloads[name])
    said = subprocess.run(
        [sys.executable, str(UNPICKLE), str(canary)],
        input="".join(f"{folder / file}\n" for file in names),
        capture_output=True, text=True, check=True, env=ENVIRONMENT, timeout=200,
    )  # fmt: skip
    ran = {names[file] for file in said.stdout.split()}
    print(f"{len(ran)} of {len(payloads)} run; not: {sorted(set(payloads) - ran)}")
    assert len(ran) >= 60
    assert len(payloads) - len(ran) <= 6


def test_random_pickles_run_nothing(read, tmp_path, canary):
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    path = tmp_path / "weights.pth"
    for trial in range(RANDOM_PICKLES):
        path.write_bytes(torch_zip(random_pickle(chance, f"touch {canary}")))
        reading = read(path)
        where = f"seed {SEED}, trial {trial}: {reading}"
        assert reading.code != "NOT-OURS", where
        assert not reading.events, where
        assert not canary.exists(), where


def test_a_program_of_torchscript_is_refused(refused, tmp_path):
    program = torch_zip(
        b"\x80\x02}.",
        {
            "code/__torch__.py": b"",
            "constants.pkl": b"\x80\x02).",
        },
    )
    assert "contains code" in refused(program).error


def test_without_the_allow_list_a_gadget_is_noticed(read_without, payloads, canary, tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(payloads["builtins.open"])
    reading = read_without("allow-list")(path)
    assert reading.events
    assert canary.exists()
    canary.unlink()


def test_the_sound_file_beside_which_code_was_put_is_read_without_it(read, tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(torch_file())
    assert not read(path).error
