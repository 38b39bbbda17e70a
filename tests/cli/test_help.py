"""Help, versions, names with typing errors, and what the command line costs before it does anything."""

import subprocess
import sys

import pytest

from tests.cli.command import environment
from verydeep.cli.main import VERBS
from verydeep.settings.config import Config

FRAMEWORKS = ("torch", "numpy", "tensorflow", "sklearn", "PIL", "matplotlib")


def test_the_command_alone_shows_its_help(verydeep):
    assert verydeep().out == verydeep("--help").out


def test_the_list_of_verbs_is_in_the_order_in_which_one_meets_them(verydeep):
    shown = verydeep("--help").out
    assert [shown.index(f"│ {verb} ") for verb in VERBS] == sorted(shown.index(f"│ {verb} ") for verb in VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_and_a_version(verydeep, verb):
    done = verydeep(verb, "--help")
    assert (done.code, done.err) == (0, "")
    assert f"Usage: verydeep {verb}" in done.out
    assert verydeep(verb, "--version").out == verydeep("--version").out == "0.1.0\n"


@pytest.mark.parametrize("verb", VERBS)
def test_no_option_is_without_its_explanation(verydeep, verb):
    lines = [line.strip("│ ") for line in verydeep(verb, "--help").out.splitlines() if line.startswith("│")]
    for number, line in enumerate(lines):
        words = line.lstrip("* ").split()
        if words[0].startswith("--") and len(words) < 3:
            assert lines[number + 1].startswith("--no-"), f"{verb}: {line}"


def test_every_setting_of_a_run_is_an_option_under_a_heading(verydeep):
    shown = verydeep("train", "--help").out
    for field in Config.model_fields:
        if field != "data":  # the argument DATA
            assert f"--{field.replace('_', '-')} " in shown
    headings = ("Main options", "Network", "Data", "Augmentation", "Optimisation", "Machine and checkpoints")
    places = [shown.index(f"╭─ {heading} ─") for heading in headings]
    assert places == sorted(places)
    assert "Parameters" not in shown
    assert " --data " not in shown


def test_what_matters_most_comes_first_in_the_help_of_train(verydeep):
    first, _, rest = verydeep("train", "--help").out.partition("╭─ Network ─")
    for option in ("--recipe", "--net", "--epochs", "--batch", "--lr", "--seed", "--device", "--out", "--dry-run"):
        assert option in first
        assert f"│ {option} " not in rest
    assert "VERYDEEP_EPOCHS=5" in first


def test_the_help_of_predict_says_its_exit_code(verydeep):
    assert "Exit code 3" in verydeep("predict", "--help").out


@pytest.mark.parametrize("words", [["--help"], ["show", "D"], ["train", "--help"], ["train", "--print-config"]])
def test_no_framework_is_loaded_to_describe(words):
    script = f"""
import sys
from verydeep.cli.main import main
try:
    main({words!r})
except SystemExit as ended:
    assert ended.code == 0
print(*sorted({set(FRAMEWORKS)!r} & set(sys.modules)), file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment(), capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stderr == "\n"


@pytest.mark.parametrize("verb", VERBS)
def test_a_misspelt_verb_is_answered_with_the_nearest_one(refused, verb):
    assert f'Did you mean "{verb}"?' in refused(verb + verb[-1])


@pytest.mark.parametrize("field", [field for field in Config.model_fields if field != "data"])
def test_a_misspelt_option_is_answered_with_the_nearest_one(refused, field):
    option = f"--{field.replace('_', '-')}"
    line = refused("train", f"{option}{option[-1]}", "1")
    assert f"Did you mean {option}?" in line
    assert line.endswith("See `verydeep train --help`.\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nonsense"], 'Unknown command "nonsense". See `verydeep --help`.'),
        (["show", "D", "--format", "txt"], 'Did you mean "text"? See `verydeep show --help`.'),
        (["show"], "NET requires an argument. See `verydeep show --help`."),
        (["show", "D", "E"], "`verydeep show` has no use for E. See `verydeep show --help`."),
        (["train", "--lr"], "--lr requires an argument."),
        (["train", "--scale", "5"], "--scale requires 2 positional arguments."),
        (["evaluate"], "RUN requires an argument."),
        (["doctor", "--format", "x" * 10_000], 'Invalid value "xxx'),
    ],
)
def test_a_command_line_that_cannot_be_understood_is_answered_in_one_line(refused, words, said):
    assert said in refused(*words)


def test_debug_shows_where_an_error_arose_and_keeps_the_exit_code(verydeep):
    plain, debug = verydeep("show", "vgg61"), verydeep("show", "vgg61", "--debug")
    assert (plain.code, debug.code) == (2, 2)
    assert "Traceback" not in plain.err
    assert "Traceback" in debug.err
    assert debug.err.endswith(plain.err)


def test_a_fault_of_ours_is_one_line_too(verydeep, monkeypatch):
    def broken(*_, **__):
        raise LookupError("a list\nof two lines")

    monkeypatch.setattr("verydeep.cli.show.described", broken)
    done = verydeep("show", "D")
    assert done.code == 1
    assert done.err.startswith("verydeep: error[INTERNAL]: LookupError: a list of two lines. This is a fault")
    assert done.err.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (MemoryError(), 6, "error[MEMORY]: there is not enough memory."),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), 6, "error[MEMORY]"),
        (OSError(28, "No space left on device", "a.txt"), 6, "error[RESOURCE]: a.txt: No space left on device."),
        (OSError(24, "Too many open files"), 6, "error[RESOURCE]: Too many open files."),
        (KeyboardInterrupt(), 130, "error[INTERRUPTED]"),
        (RuntimeError("something else"), 1, "error[INTERNAL]"),
    ],
)
def test_what_the_system_lacks_has_its_own_exit_code(verydeep, monkeypatch, error, code, said):
    def failing(*_, **__):
        raise error

    monkeypatch.setattr("verydeep.cli.show.described", failing)
    done = verydeep("show", "D")
    assert done.code == code
    assert said in done.err
