"""Kill -9, a full disk and a file-size limit strike a real saver; the newest checkpoint must load after each.

Every trial has a twin whose saver lacks one protection: the same check must find it out.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from verydeep.durable import free_bytes

SAVER = Path(__file__).with_name("saver.py")
MODES = ("next", "again", "damaged", "back")
JOBS = (
    "random --trials 60 --seed 0",
    "random --trials 15 --without aside",
    *(f"positions --mode {mode}" for mode in MODES),
    "positions --mode again --without make-way",
    "positions --mode next --without order",
    "positions --mode back --without hiding",
    "limit",
    "limit --without cleaning",
)


def run(folder: Path, *jobs: str, wrapper: tuple[str, ...] = ()) -> dict[str, dict]:
    """Run the jobs one after another in one process, which imports torch once; return their results."""
    environment = {**os.environ, "PYTHONPATH": str(SAVER.parents[2]), "OMP_NUM_THREADS": "1"}
    command = [*wrapper, sys.executable, str(SAVER), str(folder), *jobs]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment, timeout=3000)
    assert done.returncode == 0, done.stderr
    return dict(zip(jobs, map(json.loads, done.stdout.splitlines()), strict=True))


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in memory where there is one: a busy disk takes minutes for thousands of fsyncs, and proves no more."""
    memory = Path("/dev/shm")
    if not memory.is_dir() or free_bytes(memory) < 64_000_000:
        yield tmp_path_factory.mktemp("disk")
    else:
        with tempfile.TemporaryDirectory(dir=memory) as folder:
            yield Path(folder)


@pytest.fixture(scope="module")
def results(disk: Path) -> dict[str, dict]:
    return run(disk / "jobs", *JOBS)


def test_a_saver_killed_at_random_always_leaves_the_old_one_or_the_new(results):
    result = results["random --trials 60 --seed 0"]
    assert result["faults"] == [] and result["struck"] >= 20 and result["steps"] > 30


@pytest.mark.slow
def test_a_saver_killed_a_thousand_times_always_leaves_the_old_one_or_the_new(disk):
    (result,) = run(disk / "thousand", "random --trials 1000 --seed 1").values()
    assert result["faults"] == [] and result["struck"] >= 300


def test_a_saver_that_writes_in_place_is_found_out(results):
    assert results["random --trials 15 --without aside"]["faults"]


@pytest.mark.parametrize("mode", MODES)
def test_a_kill_at_every_call_leaves_the_old_one_or_the_new(results, mode):
    result = results[f"positions --mode {mode}"]
    assert result["faults"] == [] and result["struck"] >= 30


def test_a_saver_that_removes_the_old_one_of_the_same_step_first_is_found_out(results):
    assert results["positions --mode again --without make-way"]["faults"]


def test_a_saver_that_rotates_before_the_new_one_is_durable_is_found_out(results):
    assert any("nothing loads" in fault for fault in results["positions --mode next --without order"]["faults"])


def test_a_saver_that_removes_old_ones_under_their_own_name_is_found_out(results):
    assert any("looks damaged" in fault for fault in results["positions --mode back --without hiding"]["faults"])


def test_a_limit_on_file_size_leaves_the_old_one_and_no_litter(results):
    assert results["limit"]["faults"] == [] and 0 < results["limit"]["struck"] < results["limit"]["trials"]


def test_a_saver_that_does_not_clean_up_is_found_out(results):
    assert any("litter" in fault for fault in results["limit --without cleaning"]["faults"])


def test_a_disk_too_small_for_a_save_leaves_the_old_one_and_no_litter(disk):
    wrapper = ("unshare", "--user", "--map-root-user", "--mount")
    try:
        subprocess.run([*wrapper, "mount", "-t", "tmpfs", "tmpfs", str(disk)], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this machine lets no user mount a small disk of its own (unshare --user --mount)")
    (result,) = run(disk / "small", "disk --trials 20", wrapper=wrapper).values()
    assert result["faults"] == [] and 10 < result["struck"] < result["trials"]
