"""The kernels proven by a program without Python, under sanitizers of threads, other compilers, other processors."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from verydeep.engine import compile as compile_file
from verydeep.engine import library
from verydeep.engine.compile import compile_kernels

DRIVER = Path(__file__).with_name("driver.cpp")
COMPILER = next(filter(None, map(shutil.which, ("c++", "g++", "clang++"))), None)
ARM = "aarch64-linux-gnu"  # Debian's name of its cross compiler


def driver(kernels: Path, compiler: str, *flags: str, folder: Path) -> Path:
    """The program, linked with a library of kernels."""
    made = folder / "driver"
    command = [
        compiler,
        "-std=c++17",
        "-O1",
        "-pthread",
        *flags,
        str(DRIVER),
        str(kernels),
        f"-Wl,-rpath,{kernels.parent}",
    ]
    subprocess.run([*command, "-o", str(made)], check=True)
    return made


def proves(*command: str) -> None:
    """It found nothing wrong, and looked at something."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    last = (done.stdout.splitlines() or [""])[-1]
    assert done.returncode == 0 and last.endswith(" 0 wrong"), f"{done.stdout[-2000:]}{done.stderr[-4000:]}"


def compiled(folder: Path, monkeypatch: pytest.MonkeyPatch, compiler: str, sanitize: str = "") -> Path:
    monkeypatch.setenv("CXX", compiler)
    compile_kernels(folder / "_kernels.so", objects=folder / "objects", sanitize=sanitize)
    return folder / "_kernels.so"


@pytest.mark.skipif(COMPILER is None, reason="no C++ compiler")
def test_the_installed_kernels_are_right_in_every_instruction_set_from_several_threads_and_after_a_fork(tmp_path):
    assert library.why_not() is None
    proves(str(driver(library.LIBRARY, COMPILER or "", folder=tmp_path)), "1", "8")


@pytest.mark.slow
@pytest.mark.skipif(COMPILER is None, reason="no C++ compiler")
def test_threads_never_touch_the_same_memory_at_once(tmp_path, monkeypatch):
    kernels = compiled(tmp_path, monkeypatch, COMPILER or "", "thread")
    program = driver(kernels, COMPILER or "", "-fsanitize=thread", folder=tmp_path)
    proves(str(program), "2", "6", "without-fork")  # a forked child may not start threads under this sanitizer


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("clang++") is None, reason="no second C++ compiler: clang++")
def test_clang_compiles_the_same_kernels(tmp_path, monkeypatch):
    proves(str(driver(compiled(tmp_path, monkeypatch, "clang++"), "clang++", folder=tmp_path)), "3", "20")


@pytest.mark.slow
@pytest.mark.skipif(
    not (shutil.which(f"{ARM}-g++") and shutil.which("qemu-aarch64")),
    reason="no C++ compiler for ARM with qemu-aarch64",
)
def test_neon_is_right_on_an_emulated_processor(tmp_path, monkeypatch):
    kernels = compiled(tmp_path, monkeypatch, f"{ARM}-g++")
    program = driver(kernels, f"{ARM}-g++", folder=tmp_path)
    proves("qemu-aarch64", "-L", f"/usr/{ARM}", str(program), "4", "20", "without-fork")


@pytest.mark.slow
@pytest.mark.skipif(
    "avx2" not in library.instruction_sets() or shutil.which("g++") is None,
    reason="no processor with AVX2, or no g++, which computes long vectors in parts",
)
def test_avx512_is_right_whether_or_not_this_processor_has_it(tmp_path, monkeypatch):
    in_c = ("-O1", "-mavx2", "-mfma", "-mf16c", "-Wno-psabi", "-include", str(DRIVER.with_name("avx512_in_c.h")))
    monkeypatch.setitem(compile_file.INSTRUCTION_SETS, "x86_64", {"avx512vnni": in_c, "avx512": in_c})
    monkeypatch.setenv("CXXFLAGS", "-D__builtin_cpu_supports(name)=1")
    kernels = compiled(tmp_path, monkeypatch, "g++")
    proves(str(driver(kernels, "g++", folder=tmp_path)), "5", "30")


@pytest.mark.slow
@pytest.mark.skipif(COMPILER is None, reason="no C++ compiler")
def test_all_of_it_under_the_sanitizers_of_memory_and_of_what_is_undefined():
    script = Path(__file__).parents[3] / "scripts" / "sanitize"
    done = subprocess.run([script, "-q"], capture_output=True, text=True, check=False, env={**os.environ, "CI": "1"})
    assert done.returncode == 0, f"{done.stdout[-4000:]}{done.stderr[-4000:]}"
