"""Who else computes: read from the counters of the system, less what we computed ourselves."""

import os
from pathlib import Path

import pytest

from verydeep.benchmark import bystanders
from verydeep.benchmark.bystanders import Watch, busy_seconds, others, warning


def test_an_idle_machine_is_not_warned_of():
    assert warning(0.0, 0.1) is None
    assert warning(None, None) is None


@pytest.mark.parametrize(
    ("before", "during", "said"),
    [(1.0, 0.0, "1.0 before;"), (0.0, 0.4, "0.4 during the run;"), (2.0, 0.2, "2.0 before and 0.2 during the run;")],
)
def test_a_busy_machine_is_warned_of_in_one_line(before, during, said):
    line = warning(before, during)
    assert said in line
    assert "not idle" in line
    assert "\n" not in line


def test_busy_is_what_is_not_idle_and_only_on_our_processors(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {1}, raising=False)
    tick = os.sysconf("SC_CLK_TCK")
    ticks = [1, 2, 3, 100, 50, 4, 5, 6, 1000, 1000]  # user nice system IDLE IOWAIT irq softirq steal guest guest_nice
    line = " ".join(str(tick * count) for count in ticks)
    stat = tmp_path / "stat"
    stat.write_text(f"cpu  9 9 9 9 9 9 9 9 9 9\ncpu0 7 7 7 7 7 7 7 7 7 7\ncpu1 {line}\nintr 5\n")
    assert busy_seconds(stat) == 1 + 2 + 3 + 4 + 5 + 6
    assert busy_seconds(tmp_path / "none") is None


def test_what_we_computed_ourselves_is_nobody_elses(monkeypatch):
    monkeypatch.setattr(bystanders.time, "monotonic", lambda: 20.0)
    monkeypatch.setattr(bystanders, "busy_seconds", lambda _: 118.0)
    monkeypatch.setattr(bystanders, "_own_seconds", lambda: 13.0)
    assert others(Watch(None, clock=10.0, busy=100.0, own=0.0)) == pytest.approx((18 - 13) / 10)
    assert others(Watch(None, clock=10.0, busy=110.0, own=0.0)) == 0.0
    assert others(Watch(None, clock=10.0, busy=None, own=0.0)) is None
