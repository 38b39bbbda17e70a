"""What doctor finds on a healthy machine, and on machines with one thing broken."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from verydeep.engine import library
from verydeep.record import checks as module
from verydeep.record.checks import CHECKS, MINIMUM
from verydeep.record.environment import doctor

TORCHRUN = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    for name in (*TORCHRUN, "VERYDEEP_DATA", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)


def finding(name):
    return CHECKS[name]()


def test_every_check_answers_and_what_is_not_ok_says_what_to_do():
    found = doctor()
    assert [one.name for one in found] == list(CHECKS)
    assert all(one.detail for one in found)
    assert all(one.fix for one in found if one.status != "ok")
    assert not [one for one in found if one.status == "fail"]


def test_the_least_versions_are_those_of_the_project_file():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    pairs = (re.match(r"([\w-]+)>=([\d.]+)", text) for text in project["dependencies"])
    assert {pair[1]: pair[2] for pair in pairs} == MINIMUM
    assert project["requires-python"] == ">=" + ".".join(map(str, module.PYTHON))


def test_an_old_and_a_missing_package_are_named_with_the_command_that_mends_it(monkeypatch):
    versions = dict.fromkeys(MINIMUM, "99.0") | {"torch": "2.9.1+cpu", "rich": None, "numpy": "2"}
    monkeypatch.setattr(module, "version", versions.get)
    found = finding("packages")
    assert found.status == "fail"
    assert found.detail == "torch 2.9.1+cpu is older than 2.11; rich is not installed"
    assert found.fix == "pip install --upgrade 'torch>=2.11' 'rich>=14'"


def test_a_torchvision_that_does_not_fit_torch_is_named_with_the_fix():
    code = (
        "import sys; sys.modules['torchvision.ops'] = None\n"
        "from verydeep.record.checks import CHECKS; found = CHECKS['torchvision']()\n"
        "print(found.status, found.detail, found.fix, sep='|')"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    status, detail, fix = output.strip().split("|")
    assert status == "fail"
    assert re.match(r"torchvision [\d.]+ with torch [\d.]+ do not work together", detail)
    assert fix == "Install both at once: pip install --upgrade torch torchvision"


@pytest.mark.parametrize("broken", ["torch", "PIL"])
def test_doctor_itself_works_whatever_is_broken(broken):
    code = (
        f"import sys; sys.modules[{broken!r}] = None\n"
        "from verydeep.record.environment import doctor\n"
        "print(sum(one.status == 'fail' for one in doctor()), sum(bool(one.fix) for one in doctor()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    failed, mended = map(int, done.stdout.split())
    assert 1 <= failed <= mended


@pytest.mark.parametrize(("name", "word"), [("disk", "--out"), ("shared memory", "--shm-size")])
def test_little_space_is_a_warning(monkeypatch, name, word):
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(module.shutil, "disk_usage", lambda place: usage._replace(total=10**6, free=10**6))
    found = finding(name)
    assert found.status == "warn"
    assert word in found.fix


def test_little_memory_is_a_warning(monkeypatch):
    monkeypatch.setattr(module, "memory_bytes", lambda: 10**9)
    assert finding("memory").status == "warn"


def test_a_folder_that_cannot_be_written_is_a_warning(monkeypatch):
    monkeypatch.chdir("/proc")
    assert finding("folder").status == "warn"


def test_more_threads_than_cores_are_a_warning(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "10000")
    assert finding("processor").status == "warn"


def test_torchruns_variables_must_come_together(monkeypatch):
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    found = finding("processes")
    assert found.status == "warn"
    assert "RANK, WORLD_SIZE set, but not LOCAL_RANK, MASTER_ADDR, MASTER_PORT" in found.detail
    for name in ("LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.setenv(name, "0")
    assert finding("processes").detail.startswith("rank 0 of 2")


def test_the_data_sets_that_are_there_are_named(monkeypatch, shared_data):
    monkeypatch.setenv("VERYDEEP_DATA", str(shared_data))
    found = finding("data")
    assert found.status == "ok"
    assert {"digits", "mnist", "fashion-mnist"} <= set(re.findall(r"[\w-]+", found.detail))


def test_a_data_folder_that_is_not_there_is_a_failure(monkeypatch, tmp_path):
    monkeypatch.setenv("VERYDEEP_DATA", str(tmp_path / "nowhere"))
    found = finding("data")
    assert found.status == "fail"
    assert "nowhere" in found.detail


def test_a_damaged_data_set_is_a_warning(monkeypatch, tmp_path, shared_data):
    shutil.copytree(shared_data / "mnist", tmp_path / "mnist")
    (tmp_path / "mnist" / "t10k-labels-idx1-ubyte.gz").write_bytes(b"damaged")
    monkeypatch.setenv("VERYDEEP_DATA", str(tmp_path))
    assert finding("data").status == "warn"


def test_the_kernels_that_run_are_named(monkeypatch):
    monkeypatch.setattr(library, "why_not", lambda: None)
    monkeypatch.setattr(library, "active", lambda: "avx2")
    monkeypatch.setattr(library, "instruction_sets", lambda: ("avx512", "avx2", "generic"))
    found = finding("kernels")
    assert found.status == "ok"
    assert re.fullmatch(r"avx2 on \d+ threads?; VERYDEEP_ISA may choose avx512, generic", found.detail)


def test_kernels_that_were_not_compiled_are_a_warning_with_the_way_to_get_them(monkeypatch):
    monkeypatch.setattr(library, "why_not", lambda: "the kernels were not compiled: no C++ compiler was found")
    found = finding("kernels")
    assert found.status == "warn"
    assert found.detail == "the kernels were not compiled: no C++ compiler was found; networks run through PyTorch"
    assert found.fix == "Install a C++17 compiler (on Debian: apt install g++) and run pip install again."


def test_an_instruction_set_that_is_asked_for_and_not_there_is_a_failure():
    code = "from verydeep.record.checks import CHECKS; found = CHECKS['kernels'](); print(found.status, found.detail)"
    environment = os.environ | {"VERYDEEP_ISA": "sse9"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    if library.why_not() is None:
        assert done.stdout.startswith("fail VERYDEEP_ISA is 'sse9', no instruction set")
