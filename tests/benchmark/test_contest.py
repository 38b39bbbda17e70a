"""A contest: all are built first, then called in turn; one that fails is a row, and nobody is left behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.benchmark import fakes
from tests.cli.command import environment
from verydeep.benchmark import asleep
from verydeep.benchmark import contest as contests
from verydeep.benchmark.contest import WARM_UP, contest, once
from verydeep.benchmark.worker import Failed, Worker


def _calls(log: Path) -> str:
    """The names in the order of their calls."""
    return "".join(line.split()[1] for line in log.read_text().splitlines() if line.startswith("begin"))


def _is_alive(process: int) -> bool:
    """Whether it runs: a zombie does not."""
    try:
        return "Z" not in Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2][:1]
    except OSError:
        return False


def _soon(is_so) -> bool:
    end = time.monotonic() + 10
    while not is_so() and time.monotonic() < end:
        time.sleep(0.02)
    return is_so()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


def test_all_are_built_first_and_then_called_in_turn(tmp_path, log):
    found = contest(
        [fakes.entrant("logged", name, log=str(log)) for name in "ABC"], calls=3, threads=1, folder=tmp_path
    )
    built = "".join(name * WARM_UP for name in "ABC")
    assert _calls(log) == built + "AABBCC" * 3  # a call that wakes it, and one that is timed
    assert [(one.name, len(one.seconds), one.failed) for one in found] == [(name, 3, "") for name in "ABC"]


def test_only_one_computes_at_a_time(tmp_path, log):
    entrants = [fakes.entrant("logged", name, log=str(log), seconds=0.01) for name in "AB"]
    contest(entrants, calls=4, threads=1, folder=tmp_path)
    lines = log.read_text().splitlines()
    assert [line.split()[0] for line in lines] == ["begin", "end"] * (len(lines) // 2)
    assert all(first.split()[1] == last.split()[1] for first, last in zip(lines[::2], lines[1::2], strict=True))


def test_a_long_call_needs_none_that_wakes_it(tmp_path, log, monkeypatch):
    monkeypatch.setattr(contests, "LONG", 0.0)
    contest([fakes.entrant("logged", name, log=str(log)) for name in "AB"], calls=3, threads=1, folder=tmp_path)
    assert _calls(log) == "A" * WARM_UP + "B" * WARM_UP + "AABB" + "AB" * 2


def test_seconds_are_those_of_the_call(tmp_path, log):
    found = contest([fakes.entrant("logged", "A", log=str(log), seconds=0.03)], calls=3, threads=1, folder=tmp_path)
    assert 0.06 <= found[0].least <= found[0].median < 0.6


@pytest.mark.parametrize(
    ("dies", "said"),
    [
        ({"signal": signal.SIGSEGV}, "SIGSEGV"),
        ({"signal": signal.SIGKILL}, "not enough memory"),
        ({}, "exit code 3: the last words"),
    ],
)
def test_a_process_that_dies_is_a_row_and_the_others_go_on(tmp_path, log, dies, said):
    entrants = [
        fakes.entrant("logged", "A", log=str(log)),
        fakes.entrant("dying", "B", call=WARM_UP + 3, **dies),
        fakes.entrant("logged", "C", log=str(log)),
    ]
    a, b, c = contest(entrants, calls=3, threads=1, folder=tmp_path)
    assert said in b.failed
    assert b.seconds == ()
    assert (len(a.seconds), len(c.seconds)) == (3, 3)


def test_one_that_cannot_be_built_or_dies_of_it_is_a_row(tmp_path, log):
    entrants = [
        fakes.entrant("failing", "A"),
        fakes.entrant("dying", "B", call=1, signal=signal.SIGABRT),
        fakes.entrant("logged", "C", log=str(log)),
    ]
    a, b, c = contest(entrants, calls=2, threads=1, folder=tmp_path)
    assert a.failed == "ValueError: there is no kernel for A"
    assert "SIGABRT" in b.failed
    assert len(c.seconds) == 2


def test_what_libraries_print_is_no_answer(tmp_path):
    found = contest([fakes.entrant("chatty", "A")], calls=2, threads=1, folder=tmp_path)
    assert (found[0].failed, len(found[0].seconds)) == ("", 2)
    assert "called" in (tmp_path / "0.log").read_text()


def test_the_output_of_each_is_kept(tmp_path, log):
    entrants = [fakes.entrant("logged", name, log=str(log), value=value) for name, value in (("A", 2.0), ("B", 5.0))]
    found = contest(entrants, calls=1, threads=1, folder=tmp_path, keep=True)
    assert [np.load(one.output).tolist() for one in found] == [[[value] * 3] * 2 for value in (2.0, 5.0)]
    assert found[0].about == {"version": "7"}


def test_a_process_that_does_not_answer_fails_after_a_while(tmp_path, log):
    worker = Worker(threads=1, folder=tmp_path, name="A")
    try:
        worker.ask("build", maker="tests.benchmark.fakes:logged", job={"name": "A", "log": str(log), "seconds": 60})
        with pytest.raises(Failed, match=r"no answer for 0\.2 seconds"):
            worker.ask("call", patience=0.2)
    finally:
        worker.close()


def test_the_reference_has_ended_before_anybody_begins(tmp_path):
    numbers = tmp_path / "numbers"
    once(fakes.entrant("parent", "A", numbers=str(numbers)), threads=1, folder=tmp_path)
    assert _soon(lambda: not any(map(_is_alive, map(int, numbers.read_text().split()))))


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no /proc")
def test_ctrl_c_leaves_no_process_behind(tmp_path):
    numbers = tmp_path / "numbers"

    def stop(what: str) -> None:
        if what.startswith("round"):
            assert all(map(_is_alive, map(int, numbers.read_text().split())))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        contest([fakes.entrant("parent", "A", numbers=str(numbers))], calls=3, threads=1, folder=tmp_path, say=stop)
    assert _soon(lambda: not any(map(_is_alive, map(int, numbers.read_text().split()))))


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no /proc")
def test_a_killed_parent_leaves_no_process_behind(tmp_path):
    script = (
        "import os, signal, sys; from pathlib import Path; from verydeep.benchmark.worker import Worker\n"
        "worker = Worker(threads=1, folder=Path(sys.argv[1]), name='A'); print(worker.process.pid, flush=True)\n"
        "worker.ask('finish'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert _soon(lambda: not _is_alive(int(done.stdout)))


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no /proc")
def test_nobody_is_asked_while_threads_of_the_last_one_still_compute(tmp_path, monkeypatch):
    found = contest([fakes.entrant("spinning", "A", seconds=0.05)], calls=1, threads=1, folder=tmp_path)
    assert not found[0].restless
    monkeypatch.setattr(asleep, "PATIENCE", 0.05)
    found = contest([fakes.entrant("spinning", "A", seconds=0.6)], calls=1, threads=1, folder=tmp_path)
    assert found[0].restless


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="no /proc")
def test_memory_for_building_is_not_memory_for_computing(tmp_path):
    entrants = [fakes.entrant("greedy", "A"), fakes.entrant("chatty", "B")]
    greedy, idle = contest(entrants, calls=1, threads=1, folder=tmp_path)
    assert greedy.build_bytes > idle.build_bytes + 180 * fakes.MEGABYTE
    assert idle.peak_bytes + 55 * fakes.MEGABYTE < greedy.peak_bytes < idle.peak_bytes + 100 * fakes.MEGABYTE


def test_each_computes_with_the_threads_that_it_was_given(tmp_path):
    worker = Worker(threads=3, folder=tmp_path, name="A")
    try:
        variables = Path(f"/proc/{worker.process.pid}/environ")
        if not variables.exists():
            pytest.skip("no /proc")
        worker.ask("finish")
        assert b"OMP_NUM_THREADS=3\0" in variables.read_bytes()
        assert os.getpgid(worker.process.pid) != os.getpgid(0)
    finally:
        worker.close()
