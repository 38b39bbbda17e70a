"""What a run notes of its machine."""

import getpass
import json
import socket
import subprocess
from pathlib import Path

import pytest
import torch

from verydeep.record import machine as module
from verydeep.record.environment import environment


def test_versions_and_hardware_are_noted():
    found = environment()
    assert found["packages"]["torch"] == torch.__version__.partition("+")[0]
    assert found["threads"] == torch.get_num_threads()
    assert found["cores"] >= 1
    assert found["memory_bytes"] > 10**8


def test_the_note_is_json_and_names_neither_user_nor_machine():
    text = json.dumps(environment())
    for secret in (str(Path.home()), socket.gethostname(), str(Path.cwd())):
        assert secret not in text
    if getpass.getuser() != "root":  # too short a word to look for
        assert getpass.getuser() not in text


def test_a_machine_that_tells_nothing_stops_nobody(monkeypatch):
    def fail(*arguments, **options):
        raise OSError("no")

    def missing(name):
        raise module.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(subprocess, "run", fail)
    monkeypatch.setattr(module.os, "sysconf", fail)
    monkeypatch.setattr(module.metadata, "version", missing)
    monkeypatch.setattr(Path, "read_text", fail)
    monkeypatch.setattr(torch.cuda, "device_count", fail)
    monkeypatch.setattr(torch, "get_num_threads", fail)
    found = environment()
    assert (found["memory_bytes"], found["commit"], found["threads"], found["cuda"]) == (None, None, None, [])


def test_the_memory_of_a_container_counts(monkeypatch):
    monkeypatch.setattr(module, "_text", lambda path: "1000000\n" if path.name == "memory.max" else "")
    assert module.memory_bytes() == 1_000_000


def test_the_commit_is_that_of_verydeep_and_not_of_a_repository_around_it(monkeypatch, tmp_path):
    def git(*arguments):
        command = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
        subprocess.run(command, check=True, capture_output=True)

    package = tmp_path / "site-packages" / "verydeep"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    git("init")
    git("commit", "--allow-empty", "-m", "theirs")
    monkeypatch.setattr(module.verydeep, "__file__", str(package / "__init__.py"))
    assert module.commit() is None
    git("add", ".")
    git("commit", "-m", "ours")
    assert len(module.commit()) == 40
    (package / "__init__.py").write_text("changed")
    assert module.commit().endswith("-dirty")


@pytest.mark.parametrize(
    ("text", "flags"), [("", ()), ("flags\t\t: fpu avx2 avx512f amx_tile\n", ("avx2", "avx512f", "amx_tile"))]
)
def test_the_instruction_sets_that_matter_are_picked_out(monkeypatch, text, flags):
    monkeypatch.setattr(module, "_text", lambda path: text)
    assert module.cpu_flags() == flags
