"""The command in processes of its own: closed and full outputs, poor terminals, missing variables."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest

from tests.cli.command import environment
from verydeep import spec_json
from verydeep.families.vgg import vgg


def shell(script: str, **variables: str | None) -> subprocess.CompletedProcess[str]:
    """What a shell says that calls the command as $V."""
    return subprocess.run(
        ["bash", "-c", script],
        env=environment(V=f"{sys.executable} -m verydeep", **variables),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_reader_that_leaves_early_is_no_error():
    done = shell("$V show resnet152 --format json | head -n 1; echo ${PIPESTATUS[0]}")
    assert (done.stdout, done.stderr) == ("{\n0\n", "")
    done = shell("$V show A | (exec 0<&-; sleep 2); echo ${PIPESTATUS[0]}")
    assert (done.stdout, done.stderr) == ("0\n", "")


def test_a_closed_output_is_no_error():
    done = shell("$V show A >&-; echo $?; $V show vgg61 2>&-; echo $?")
    assert (done.stdout, done.stderr) == ("0\n2\n", "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")  # noqa: PTH110
def test_a_full_disk_behind_the_output_is_one_line_and_exit_code_6():
    done = shell("$V show resnet152 > /dev/full; echo $?")
    assert done.stdout == "6\n"
    assert done.stderr.startswith("verydeep: error[RESOURCE]: No space left on device.")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("words", ["--help", "list", "show googlenet", "train --help", "compare A D", "list recipes"])
def test_a_terminal_that_knows_only_ascii_is_enough(words):
    done = shell(f"$V {words}", LC_ALL="C", PYTHONIOENCODING="ascii", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.isascii()


def test_what_ascii_cannot_show_is_escaped(in_an_empty_folder):
    network = replace(vgg(((1, 4),), input=(1, 8, 8)), source="H\N{LATIN SMALL LETTER E WITH ACUTE}naff")
    (in_an_empty_folder / "net.json").write_text(spec_json.dumps(network))
    done = shell("$V show net.json", LC_ALL="C", PYTHONIOENCODING="ascii", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert (done.returncode, done.stderr) == (0, "")
    assert "H\\xe9naff" in done.stdout


def test_without_docstrings_and_asserts_everything_works():
    done = shell("$V list recipes && $V predict --help && $V show D --format json", PYTHONOPTIMIZE="2")
    assert (done.returncode, done.stderr) == (0, "")
    assert "digits" in done.stdout
    refused = shell("$V train --lr -1", PYTHONOPTIMIZE="2")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)


def test_neither_a_home_nor_a_terminal_is_needed():
    done = shell("$V list data < /dev/null && $V train --print-config", HOME=None, USER=None, TERM=None)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_answer_does_not_depend_on_language_or_hash_seed():
    first = shell("$V show D --format json; $V list", LANG="C", PYTHONHASHSEED="1")
    second = shell("$V show D --format json; $V list", LANG="tr_TR.UTF-8", PYTHONHASHSEED="2", TZ="Asia/Tokyo")
    assert first.returncode == second.returncode == 0
    assert first.stdout == second.stdout


def test_a_terminal_gets_lines_of_its_width_and_a_pipe_gets_no_escape_codes():
    assert "\x1b" not in shell("$V --help; $V train --help").stdout
    wide = shell("$V --help", COLUMNS="200").stdout
    assert "describe, count, draw, train and evaluate very deep convolutional networks." in wide


def test_a_warning_is_not_raised_where_warnings_are_errors():
    done = shell(f"{sys.executable} -W error -m verydeep show D --format json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["name"] == "vgg16"
