"""The command `verydeep`, called in this process where that is enough and in a process of its own where it is not."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.cli.command import TINY, Done, command, environment
from verydeep.cli.main import main


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch):
    """Every test starts in a folder of its own, without variables that set options."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name in [name for name in os.environ if name.startswith("VERYDEEP_")]:
        monkeypatch.delenv(name)
    return folder


@pytest.fixture
def verydeep(capsys):
    """Calls the command in this process."""

    def call(*words: object) -> Done:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        said = capsys.readouterr()
        return Done(ended.value.code, said.out, said.err)

    return call


@pytest.fixture
def refused(verydeep, in_an_empty_folder: Path):
    """Calls the command and expects what every refusal must be: one line, the code, no traceback, no file."""

    def call(*words: object, code: int = 2) -> str:
        before = sorted(in_an_empty_folder.rglob("*"))
        done = verydeep(*words)
        assert (done.code, done.out) == (code, ""), done
        assert done.err.startswith("verydeep: error["), done.err
        assert done.err.count("\n") == 1, done.err
        assert len(done.err) < 700, done.err
        assert sorted(in_an_empty_folder.rglob("*")) == before
        return done.err

    return call


@pytest.fixture(scope="session")
def process():
    """Calls the command in a process of its own."""

    def call(*words: object, cwd: Path | None = None, **variables: str | None) -> Done:
        ended = subprocess.run(
            command(*words),
            cwd=cwd,
            env=environment(**variables),
            capture_output=True,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="surrogateescape",
            timeout=300,
            check=False,
        )
        return Done(ended.returncode, ended.stdout, ended.stderr)

    return call


@pytest.fixture(scope="session")
def digits_run(tmp_path_factory, process) -> Path:
    """A finished run of one epoch on the digits; tests must not change it."""
    folder = tmp_path_factory.mktemp("digits") / "run"
    done = process("train", *TINY, "--epochs", 1, "--out", folder, cwd=folder.parent)
    assert done.code == 0, done.err
    return folder
