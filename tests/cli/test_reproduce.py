"""`verydeep reproduce` on the command line: its plan, and what it refuses before it computes."""

from pathlib import Path

import pytest


def test_the_plan_of_the_findings_at_laptop_scale(verydeep, in_an_empty_folder: Path):
    done = verydeep("reproduce", "findings", "--plan", "--seeds", 3)
    assert done.code == 0, done.err
    assert "D-32-64-seed-1" in done.out
    assert "D-48-seed-1" in done.out
    assert list(in_an_empty_folder.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("tabel4",), 2, "REPRODUCE-TABLE"),
        (("findings", "--seeds", 2), 2, "REPRODUCE-SEEDS"),
        (("table3", "--seeds", 0), 2, "REPRODUCE-SEEDS"),
        (("table3", "--scale", "imagenet"), 3, "DATA-MISSING"),
        (("table3", "--scale", "lapto"), 2, "Did you mean laptop?"),
        (("table8", "--scale", "imagenet"), 2, "docs/localise.md"),
        (("table3", "--jobs", 0), 2, "--jobs is 0"),
        (("table5", "--crop-images", "-3"), 2, "--crop-images is -3"),
        (("initialisation", "--scale", "imagenet"), 2, "OPTIONS-DISAGREE"),
        (("initialisation", "--data", "mnist", "--epochs", 1), 2, "no use for --data, --epochs. Leave them out"),
        (("initialisation", "--workers", 1), 2, "OPTIONS-DISAGREE"),
        (("table3", "--crop-images", 5), 2, "no use for --crop-images"),
        (("table5", "--test-images", 5), 2, "no use for --test-images"),
        (("table8", "--jobs", 2), 2, "OPTIONS-DISAGREE"),
        (("table8", "--data", "mnist"), 2, "OPTIONS-DISAGREE"),
        (("table9", "--workers", 1), 2, "OPTIONS-DISAGREE"),
        (("table11", "--test-images", 5), 2, "OPTIONS-DISAGREE"),
        (("table11", "--crop-images", 5), 2, "OPTIONS-DISAGREE"),
        (("initialisation", "--device", "cuda:99"), 2, "DEVICE"),
    ],
)
def test_what_cannot_be_is_one_line_before_any_computing(words, code: int, said: str, refused):
    assert said in refused("reproduce", *words, code=code)


def test_several_processes_are_refused(refused, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr("verydeep.cli.main._leave", _exit)
    assert "REPRODUCE-WORLD" in refused("reproduce", "table3")


def _exit(code: int) -> None:
    raise SystemExit(code)
