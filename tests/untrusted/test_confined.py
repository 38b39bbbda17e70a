"""The child that reads MAT, HDF5, Caffe and MXNet files, taken over by its file: what it can do, what it can say."""

import errno
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.untrusted.conftest import ENVIRONMENT
from tests.untrusted.corpus.valid import files
from verydeep.errors import ConfigError, ResourceError, WeightsError
from verydeep.weights import about, confined, file_kinds, frames

ROOT = Path(__file__).parents[2]
FALSEHOODS = [
    line.split('"')[1]
    for line in Path(__file__).with_name("hostile_parser.py").read_text().split("def falsehood")[1].splitlines()
    if line.strip().startswith("case ")
]


@pytest.fixture
def taken_over(monkeypatch, tmp_path):
    """Reads a file with the hostile parser; returns what the parent says."""
    start = confined.START.replace(
        "main(sys.argv[2])",
        f"import verydeep.weights.confined_child as c; sys.path.append({str(ROOT)!r}); "
        "c.PARSERS['mat'] = 'tests.untrusted.hostile_parser'; main(sys.argv[2])",
    )
    monkeypatch.setattr(confined, "START", start)

    def read(order: str) -> str:
        path = tmp_path / "order"
        path.write_text(order)
        with path.open("rb") as file:
            try:
                arrays, _ = confined.read(file, kind="mat")
            except WeightsError as error:
                assert error.code.startswith("WEIGHTS-")
                assert str(error).isprintable()
                assert error.hint in confined.HINTS.values()
                return error.message
        return f"read: {next(iter(arrays.values())).tobytes()!r}"

    return read


def test_an_obedient_parser_is_believed(taken_over):
    assert taken_over("nothing").startswith("read")


def test_no_file_can_be_opened_written_or_made(taken_over, tmp_path):
    secret, new = tmp_path / "secret", tmp_path / "new"
    secret.write_text("SECRET")
    assert "Too many open files" in taken_over(f"open {secret}")
    assert "Too many open files" in taken_over(f"write {secret}")
    assert "Too many open files" in taken_over(f"write {new}")
    assert "Bad file descriptor" in taken_over("append")
    assert secret.read_text() == "SECRET"
    assert not new.exists()


def test_nothing_can_be_reached_by_network(taken_over):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        assert "Too many open files" in taken_over(f"connect {server.getsockname()[1]}")
        with pytest.raises(TimeoutError):
            server.accept()


def test_no_program_can_be_started(taken_over, tmp_path):
    new = tmp_path / "new"
    for word in ("start", "exec"):
        assert not taken_over(f"{word} {new}").startswith("read")
        assert not new.exists()


def test_memory_and_time_are_bounded(taken_over, monkeypatch):
    assert "more memory" in taken_over("allocate")
    begin = time.monotonic()
    assert "too long" in taken_over("spin")
    assert time.monotonic() - begin < confined.PATIENCE  # ended by the kernel, long before the parent's patience
    monkeypatch.setattr(confined, "PATIENCE", -10)
    assert "too long" in taken_over("sleep")


def test_a_crash_is_told(taken_over):
    assert "made its reader crash (SIGSEGV)" in taken_over("crash")
    assert "made its reader crash (SIGABRT)" in taken_over("abort")
    assert "gave up" in taken_over("leave")
    assert "(SIGINT)" in taken_over("raise")
    assert "(signal 40)" in taken_over("real-time")
    assert "gave up (exit code 3)" in taken_over("quit")


@pytest.mark.parametrize("kind", FALSEHOODS)
def test_a_false_answer_is_refused(taken_over, kind):
    assert not taken_over(f"say {kind}").startswith("read")


def test_arrays_that_the_file_cannot_hold_are_refused_before_they_are_made(taken_over):
    for kind in ("many large arrays", "2**60 numbers"):
        assert "claims more numbers than a file of" in taken_over(f"say {kind}")


def test_an_error_of_a_gigabyte_is_not_waited_for(taken_over):
    assert "false answer" in taken_over("say an error of 1 GB")


def test_an_error_cannot_write_to_the_terminal_or_be_another(taken_over):
    assert "\x1b" not in taken_over("say an error with control characters")


def test_claims_are_checked_one_by_one():
    assert frames.claims([["a", "<f4", [2, 3]]]) == [frames.Claim("a", "<f4", (2, 3), 24)]
    for value in (None, {}, [[]], [["a", "<f4", 3]], [["a", "<f4", ["3"]]], [[3, "<f4", [3]]], [["a", "<f4", [2**48]]]):
        with pytest.raises((ValueError, TypeError)):
            frames.claims(value)


def test_a_script_without_a_main_guard_may_read_from_any_folder(tmp_path):
    for name in ("numpy.py", "json.py", "scipy.py", "verydeep.py", "sitecustomize.py"):
        (tmp_path / name).write_text("open('canary', 'w')")
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    (scripts / "sound.mat").write_bytes(files()["mat"])
    script = scripts / "script.py"
    script.write_text(
        "from pathlib import Path\nfrom verydeep.weights.file_kinds import read\n"
        "print(len(read(Path(__file__).with_name('sound.mat')).arrays))\n"
    )
    said = subprocess.run(
        [sys.executable, str(script)],
        check=False,
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert said.stdout == "2\n", said.stderr
    assert not (tmp_path / "canary").exists()


def test_no_child_is_left_behind(tmp_path):
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    path = tmp_path / "sound"
    path.write_bytes(files()["mat"])
    before = children.read_text()
    file_kinds.read(path)
    assert children.read_text() == before


def test_a_system_without_room_for_the_child_is_one_line(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    path = tmp_path / "sound"
    path.write_bytes(files()["mat"])
    monkeypatch.setattr(subprocess, "Popen", refuse)
    with pytest.raises(ResourceError, match="no process can be started to read the file"):
        file_kinds.read(path)


SAYINGS = {
    "averageImage": [[[[1.5, 2, 3]]], [1.5, 2, 3]],
    "backend": ["tensorflow"],
    "classes": [[], ["tench", "goldfish"]],
    "config": [{}, {"class_name": "Functional", "config": {"layers": [{"name": "a", "pad": [1, None, 0.5, True]}]}}],
    "layers": [[], [["conv1", "conv"]], [["conv1", "conv", {"pad": [1, 1, 1, 1], "kernel": "global", "group": 1}]]],
    "preprocessing": [{"color": "RGB"}],
}
LIES = {
    "averageImage": [{}, "x", [], [[1, "x"]], [float("nan")], [float("inf")], [[1], 2], [True], [10**400], [[[]]]],
    "backend": [5, [], "a\x1b[2J", "x" * 501],
    "classes": [5, "abc", [{}], [5], ["a\x1b[2J"], ["x" * 501], {"a": 1}],
    "config": [[], 5, "x", {"a": "\x1b[2J"}, {"\x1b[2J": 1}, {"a": "x" * 10_001}],
    "layers": [[1], 5, [[]], [["a"]], [["a", []]], [[[], "conv"]], [["a", "\x1b[2J"]], [["a", "conv", 5]],
               [["a", "conv", {"pad": {}}]], [["a", "conv", {"pad": [[1]]}]], [["a", "conv", {"\x1b": 1}]],
               [["a", "conv", {"pad": float("nan")}]], [["a", "conv", {"pad": True}]], [["a", "conv", {}, 1]]],
    "preprocessing": [[], "x"],
    "texts": [5, {}],
    "anything": [5],
}  # fmt: skip


@pytest.mark.parametrize("key", SAYINGS)
def test_what_a_file_can_say_of_itself_is_believed(key):
    for value in SAYINGS[key]:
        assert about.checked({key: value}) == {key: value}


@pytest.mark.parametrize("key", LIES)
def test_what_no_file_can_say_of_itself_is_refused(key):
    for value in LIES[key]:
        with pytest.raises(ValueError, match="itself" if key in ("texts", "anything") else key):
            about.checked({key: value})


def test_a_description_has_a_bound_of_depth_and_size():
    deep: dict[str, Any] = {}
    for _ in range(200):
        deep = {"config": deep}
    for value in (deep, {"a": [[0] * 1000] * 1001}):
        with pytest.raises(ValueError, match="config"):
            about.checked({"config": value})


def test_what_the_child_says_of_the_file_is_checked_before_it_is_used(taken_over):
    assert taken_over('tell {"classes": ["a"]}').startswith("read")
    for lie in ('{"layers": [1]}', '{"classes": [{}]}', '{"averageImage": {}}', '{"classes": ["\\u001b[2J"]}'):
        assert "cannot be so" in taken_over(f"tell {lie}")
    assert "what it says of itself cannot be so" in taken_over('tell {"texts": 5}')


def test_the_child_has_none_of_the_users_variables(taken_over, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "SECRET")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.setenv("HOME", "/someones_home")
    said = taken_over("environment")
    assert "LC_ALL" in said
    assert "HF_TOKEN" not in said
    assert "SECRET" not in said
    assert "someones_home" not in said


def test_a_missing_scipy_is_one_line(tmp_path, monkeypatch):
    path = tmp_path / "weights"
    path.write_bytes(files()["mat"])
    for name in [name for name in sys.modules if name.partition(".")[0] == "scipy"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "scipy", None)
    monkeypatch.delitem(sys.modules, "verydeep.weights.mat_file", raising=False)
    with pytest.raises(ConfigError, match=r"scipy, which is not installed.*pip install scipy"):
        file_kinds.read(path)


def test_a_child_that_cannot_import_its_reader_does_not_blame_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(confined, "START", "import sys; sys.modules['scipy'] = None; " + confined.START)
    path = tmp_path / "weights"
    path.write_bytes(files()["mat"])
    with pytest.raises(ConfigError, match="cannot be imported in a process of its own"):
        file_kinds.read(path)


def test_a_missing_library_is_one_line(tmp_path, monkeypatch):
    path = tmp_path / "weights"
    path.write_bytes(files()["hdf5"])
    monkeypatch.setitem(sys.modules, "h5py", None)
    monkeypatch.delitem(sys.modules, "verydeep.weights.hdf5_file", raising=False)
    with pytest.raises(ConfigError, match=r"h5py.*pip install 'verydeep\[hdf5\]'"):
        file_kinds.read(path)


def test_pipes_folders_and_devices_are_refused_at_once(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, tmp_path, Path("/dev/zero"), tmp_path / "nothing", tmp_path / ("x" * 300)):
        with pytest.raises(WeightsError) as raised:
            file_kinds.read(path)
        assert raised.value.code == "WEIGHTS-UNREADABLE"
