"""A hub on this machine, a small run to give to it, and a model that lies there."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.command import TINY
from tests.hub import fake_hub
from tests.hub.fake_hub import TOKEN, FakeHub, Repository
from verydeep.cli.main import main
from verydeep.hub.repository import SHARED
from verydeep.run import Run, open_run


@pytest.fixture
def hub(monkeypatch) -> Iterator[FakeHub]:
    with fake_hub.running() as running:
        monkeypatch.setenv("HF_ENDPOINT", running.address)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setenv("NO_PROXY", "*")
        yield running


@pytest.fixture(scope="session")
def run(tmp_path_factory) -> Run:
    """A run on the digits, whose network has 666 weights; tests must not change it."""
    folder = tmp_path_factory.mktemp("hub") / "run"
    with pytest.raises(SystemExit) as ended:
        main(["train", *TINY, "--epochs", "1", "--out", str(folder)])
    assert ended.value.code == 0
    return open_run(folder)


@pytest.fixture(scope="session")
def files(run: Run) -> dict[str, bytes]:
    """What lies on a hub after a push, by name there."""
    return {shared.remote: (run.path / shared.local).read_bytes() for shared in SHARED}


@pytest.fixture
def model(hub: FakeHub, files: dict[str, bytes]) -> str:
    """The name of a repository that has them."""
    hub.repositories["me/digits"] = Repository()
    hub.repositories["me/digits"].commit(files)
    return "me/digits"


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch) -> Path:
    """Every test starts in a folder of its own, without variables that set options."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name in [name for name in os.environ if name.startswith(("VERYDEEP_", "HF_"))]:
        monkeypatch.delenv(name)
    return folder
