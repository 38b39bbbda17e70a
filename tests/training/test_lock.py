"""Two trainers never share a run folder, and a killed one never keeps it."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from verydeep.errors import ConfigError, ResourceError
from verydeep.training.lock import lock

HOLDER = """
import os, sys, time
from pathlib import Path
from verydeep.training import lock as module
if "without-letting-go" in sys.argv:
    module._held = set()
with module.lock(Path(sys.argv[1])):
    if "fork" in sys.argv:
        if "without-letting-go" in sys.argv:
            module._held.clear()
        worker = os.fork()
        if worker == 0:
            time.sleep(60)
            os._exit(0)
        print(worker, flush=True)
    print("held", flush=True)
    time.sleep(60)
"""


def holder(run: Path, *options: str) -> subprocess.Popen:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", HOLDER, str(run), *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def end(process: subprocess.Popen) -> None:
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def said(process: subprocess.Popen) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def code_of_locking(run: Path) -> str | None:
    try:
        with lock(run):
            return None
    except ConfigError as error:
        return error.code


def test_a_second_trainer_is_refused_and_told_who_when_and_where(tmp_path):
    first = holder(tmp_path)
    try:
        assert said(first) == "held"
        with pytest.raises(ConfigError) as caught, lock(tmp_path):
            pytest.fail("two hold the lock")
        assert caught.value.code == "RUN-LOCKED" and caught.value.exit_code == 2
        who = rf"process {first.pid} on {re.escape(socket.gethostname())} since \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d UTC"
        assert re.search(who, caught.value.message) and str(tmp_path) in caught.value.message
        assert "--out" in caught.value.hint
        assert code_of_locking(tmp_path) == "RUN-LOCKED"  # asking did not break it
    finally:
        end(first)


def test_the_lock_of_a_killed_trainer_is_free_at_once(tmp_path):
    for _ in range(5):
        first = holder(tmp_path)
        assert said(first) == "held"
        end(first)
        assert "pid" in (tmp_path / ".lock").read_text()  # it had no time to clean up
        assert code_of_locking(tmp_path) is None


def worker_keeps_lock(run: Path, *options: str) -> bool:
    """Whether the run is still locked after its holder was killed while a forked worker lives on."""
    first = holder(run, "fork", *options)
    worker = int(said(first))
    try:
        assert said(first) == "held"
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
        os.kill(worker, 0)
        return code_of_locking(run) == "RUN-LOCKED"
    finally:
        os.kill(worker, signal.SIGKILL)
        end(first)


def test_a_worker_that_outlives_its_killed_trainer_does_not_keep_the_lock(tmp_path):
    assert not worker_keeps_lock(tmp_path)


def test_without_letting_go_a_worker_keeps_the_lock_of_its_killed_trainer(tmp_path):
    assert worker_keeps_lock(tmp_path, "without-letting-go")


def test_a_forked_child_does_not_give_back_its_parents_lock(tmp_path):
    with lock(tmp_path):
        script = f"""
import os, sys
from pathlib import Path
from verydeep.training.lock import lock
run = Path({str(tmp_path / "inner")!r})
with lock(run):
    if os.fork() == 0:
        sys.exit(0)   # leaves the block in the child
    left = os.waitstatus_to_exitcode(os.wait()[1])
    before = (run / ".lock").read_text()
    if os.fork() == 0:
        try:
            with lock(run):
                os._exit(0)
        except Exception:
            os._exit(3)
    print(left, os.waitstatus_to_exitcode(os.wait()[1]), "pid" in before)
"""
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
        done = subprocess.run(
            [sys.executable, "-c", script], check=True, capture_output=True, text=True, env=environment
        )
    assert done.stdout.split() == ["0", "3", "True"]


def test_two_locks_in_one_process_exclude_each_other(tmp_path):
    with lock(tmp_path), lock(tmp_path.with_name("another")):
        assert code_of_locking(tmp_path) == "RUN-LOCKED"
    assert code_of_locking(tmp_path) is None


def test_the_lock_is_given_back_after_an_error_and_leaves_no_name_behind(tmp_path):
    with pytest.raises(ZeroDivisionError), lock(tmp_path / "new" / "run"):
        raise ZeroDivisionError
    assert (tmp_path / "new" / "run" / ".lock").read_bytes() == b""
    assert code_of_locking(tmp_path / "new" / "run") is None


def test_a_lock_file_of_nonsense_still_names_the_run(tmp_path):
    for content in (b"", b"[]", b"\xff", b'{"pid": 1}'):
        with lock(tmp_path):
            (tmp_path / ".lock").write_bytes(content)
            with pytest.raises(ConfigError, match="in use by another process"), lock(tmp_path):
                pytest.fail("two hold the lock")


def test_a_run_that_is_a_file_is_told(tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(ResourceError, match=r"cannot write in .*run"), lock(tmp_path / "run"):
        pytest.fail("a file was locked")


def test_of_many_trainers_started_together_one_wins(tmp_path):
    several = [holder(tmp_path) for _ in range(4)]
    try:
        deadline = time.monotonic() + 20
        while sum(process.poll() is None for process in several) > 1 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert sorted(process.poll() is None for process in several) == [False, False, False, True]
    finally:
        for process in several:
            end(process)
