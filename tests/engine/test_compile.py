"""How the kernels are compiled: for which instruction sets, what again, and what is said where they cannot be."""

import ctypes
import os
import platform
import shutil
import stat
import sys
from pathlib import Path

import pytest

from verydeep.engine import compile as module
from verydeep.engine import library
from verydeep.engine.compile import LIBRARY, REASON, CompileError, compile_kernels, compile_or_say_why

COMPILER = next(filter(None, map(shutil.which, ("c++", "g++", "clang++"))), None)
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="no C++ compiler")
ON_X86 = platform.machine().lower() in ("x86_64", "amd64")
PLAIN = """inline __attribute__((noinline)) int widest() {
#if defined(__AVX512F__)
  return 512;
#elif defined(__AVX2__)
  return 256;
#else
  return 0;
#endif
}
"""
EACH = """#include "shared.h"
#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
extern "C" __attribute__((visibility("default"))) int JOIN(widest_, VD_ISA)() { return widest(); }
"""
ONCE = """#define NAME(isa) #isa " "
extern "C" __attribute__((visibility("default"))) const char *names() { return VD_EACH_ISA(NAME); }
"""


@pytest.fixture(autouse=True)
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Small sources in the place of the kernels, which take half a minute."""
    folder = tmp_path / "native"
    folder.mkdir()
    for name, text in (("shared.h", PLAIN), (module.PER_SET, EACH), ("once.cpp", ONCE)):
        (folder / name).write_text(text)
    monkeypatch.setattr(module, "NATIVE", folder)
    for name in ("CXX", "CXXFLAGS", "LDFLAGS", "VERYDEEP_SANITIZE"):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The compiler's calls are written to this file, one a line; it refuses the flags that REFUSED names."""
    log, wrapper = tmp_path / "calls", tmp_path / "compiler"
    log.touch()
    wrapper.write_text(
        f'#!/bin/sh\necho "$*" >> {log}\nfor word; do [ "$word" = "$REFUSED" ] && exit 1; done\nexec {COMPILER} "$@"\n'
    )
    wrapper.chmod(wrapper.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("CXX", str(wrapper))
    return log


def compiled(folder: Path) -> tuple[str, ...]:
    return compile_kernels(folder / LIBRARY, objects=folder / "objects")


def units(calls: Path) -> list[str]:
    """The sources that were compiled since the last look."""
    found = [
        Path(words[words.index("-c") + 1]).name
        for words in map(str.split, calls.read_text().splitlines())
        if "-c" in words
    ]
    calls.write_text("")
    return sorted(found)


@needs_compiler
def test_the_library_holds_the_processors_sets_best_first(tmp_path):
    sets = compiled(tmp_path)
    assert sets[-1] == "generic"
    if ON_X86:
        assert sets == ("avx512vnni", "avx512", "avx2", "generic")
    names = ctypes.CDLL(str(tmp_path / LIBRARY)).names
    names.restype = ctypes.c_char_p
    assert tuple(names().decode().split()) == sets
    assert set(sets) <= set(library.INSTRUCTION_SETS)


@needs_compiler
def test_of_a_function_that_all_sets_share_the_plainest_form_is_kept(tmp_path):
    held = ctypes.CDLL(str(tmp_path / LIBRARY)) if compiled(tmp_path) else None
    assert held is not None
    assert held.widest_generic() == 0
    if ON_X86:
        assert held.widest_avx2() == 0


@needs_compiler
def test_only_what_has_changed_is_compiled_again(tmp_path, sources, calls):
    sets = compiled(tmp_path)
    assert units(calls) == [module.PER_SET] * len(sets) + ["once.cpp"]
    compiled(tmp_path)
    assert units(calls) == []
    (sources / "once.cpp").write_text(ONCE + "\n")
    compiled(tmp_path)
    assert units(calls) == ["once.cpp"]
    (sources / "shared.h").write_text(PLAIN + "\n")
    compiled(tmp_path)
    assert units(calls) == [module.PER_SET] * len(sets) + ["once.cpp"]
    assert len(list((tmp_path / "objects").glob("*.o"))) == len(sets) + 1, "old objects are left"


@needs_compiler
def test_other_flags_compile_all_again(tmp_path, calls, monkeypatch):
    sets = compiled(tmp_path)
    units(calls)
    monkeypatch.setenv("CXXFLAGS", "-DOTHER")
    compiled(tmp_path)
    assert len(units(calls)) == len(sets) + 1


@needs_compiler
@pytest.mark.skipif(not ON_X86, reason="no C++ compiler for x86")
def test_a_set_that_the_compiler_does_not_know_is_left_out(tmp_path, calls, monkeypatch):
    monkeypatch.setenv("REFUSED", "-mavx512f")
    assert compiled(tmp_path) == ("avx2", "generic")


@needs_compiler
def test_a_mistake_in_a_source_is_one_line_and_leaves_no_older_library(tmp_path, sources):
    compiled(tmp_path)
    (sources / "once.cpp").write_text('#error "this cannot be"\n')
    with pytest.raises(CompileError, match=r'once.cpp.*error.*"this cannot be"') as caught:
        compiled(tmp_path)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / LIBRARY).exists()


def test_without_a_compiler_one_line_says_so_and_stays_for_later(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / LIBRARY).touch()
    said = compile_or_say_why(tmp_path, objects=tmp_path / "objects")
    why = "no C++ compiler was found (c++, g++, clang++, or the one that CXX names)"
    assert said == (
        f"verydeep: the kernels were not compiled: {why}; networks run through PyTorch. "
        "Install a C++17 compiler and run pip install again."
    )
    assert (tmp_path / REASON).read_text() == f"{why}\n"
    assert not (tmp_path / LIBRARY).exists()


@pytest.mark.parametrize(
    ("compiler", "why"),
    [("/bin/false", "false failed: it said nothing"), ("no-such-compiler", "CXX=no-such-compiler is no command here")],
)
def test_a_compiler_that_does_not_work_is_named(tmp_path, monkeypatch, compiler, why):
    monkeypatch.setenv("CXX", compiler)
    compile_or_say_why(tmp_path, objects=tmp_path / "objects")
    assert (tmp_path / REASON).read_text() == f"{why}\n"


def test_on_windows_it_is_not_tried(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(CompileError, match="Windows"):
        compiled(tmp_path)


@needs_compiler
def test_a_folder_that_cannot_be_written_is_a_reason_too(tmp_path):
    (tmp_path / "objects").touch()
    with pytest.raises(CompileError, match="objects"):
        compiled(tmp_path)


@needs_compiler
def test_a_later_success_takes_the_reason_away(tmp_path):
    (tmp_path / REASON).write_text("no compiler\n")
    assert compile_or_say_why(tmp_path, objects=tmp_path / "objects").startswith(
        "verydeep: the kernels were compiled for "
    )
    assert not (tmp_path / REASON).exists()


def test_the_package_looks_where_the_build_writes():
    assert (library.LIBRARY.name, library.REASON.name) == (LIBRARY, REASON) or os.environ.get("VERYDEEP_KERNELS")
