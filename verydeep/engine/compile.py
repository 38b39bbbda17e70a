"""How the kernels become one shared library: the sources in native/, compiled once for each instruction set.

Needs nothing but Python: setup.py loads this file by its path, before the package and what it depends on are there.
`python verydeep/engine/compile.py [FOLDER]` compiles what has changed, in place or into a folder.
"""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
NATIVE = HERE / "native"
LIBRARY = "_kernels.so"  # beside this file; loaded by ctypes, so one name on every system and for every Python
REASON = "_kernels.txt"  # in its place, where nothing could be compiled: one line that says why
FLAGS = ("-std=c++17", "-O3", "-ffp-contract=fast", "-fPIC", "-fvisibility=hidden", "-pthread", "-Wall", "-Wextra")
AVX512 = ("-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mavx2", "-mfma", "-mf16c")
INSTRUCTION_SETS = {  # processor: its sets, best first, and what tells the compiler to use them
    "x86_64": {
        "avx512vnni": (*AVX512, "-mavx512vnni"),
        "avx512": AVX512,
        "avx2": ("-mavx2", "-mfma", "-mf16c"),
        "generic": (),
    },
    "aarch64": {"neon": (), "generic": ()},
}
PROCESSORS = {"amd64": "x86_64", "arm64": "aarch64"}  # other names of the same
PER_SET = "instruction_set.cpp"
HINT = "Install a C++17 compiler and run pip install again."


class CompileError(Exception):
    """One line: why there is no library."""


@dataclass(frozen=True, slots=True)
class Unit:
    """One call of the compiler: a source and its flags."""

    name: str
    source: Path
    flags: tuple[str, ...]


def compile_or_say_why(folder: Path, *, objects: Path) -> str:
    """Leave the library in a folder, or one line there that says why there is none; what was done, as one line.

    VERYDEEP_SANITIZE=address,undefined asks for a library that checks itself.
    """
    library, reason = folder / LIBRARY, folder / REASON
    try:
        sets = compile_kernels(library, objects=objects, sanitize=os.environ.get("VERYDEEP_SANITIZE", ""))
    except CompileError as error:
        reason.parent.mkdir(parents=True, exist_ok=True)
        reason.write_text(f"{error}\n", encoding="utf-8")
        return f"verydeep: the kernels were not compiled: {error}; networks run through PyTorch. {HINT}"
    reason.unlink(missing_ok=True)
    return f"verydeep: the kernels were compiled for {', '.join(sets)}"


def compile_kernels(library: Path, *, objects: Path, sanitize: str = "") -> tuple[str, ...]:
    """Compile and link; the instruction sets that the library holds, best first.

    A unit whose sources, flags and compiler are those of the last time is not compiled again. `sanitize` is what
    -fsanitize takes: "address,undefined", or nothing. Raises CompileError; then no older library is left either.
    """
    try:
        return _compiled(library, objects, sanitize=sanitize)
    except (CompileError, OSError) as error:
        library.unlink(missing_ok=True)
        raise error if isinstance(error, CompileError) else CompileError(str(error)) from error


def _compiled(library: Path, objects: Path, *, sanitize: str) -> tuple[str, ...]:
    compiler = _compiler()
    flags = (*os.environ.get("CXXFLAGS", "").split(), *FLAGS, *_sanitizer_flags(sanitize))
    sets = _accepted_sets(compiler)
    objects.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        made = list(pool.map(lambda unit: _object(unit, compiler, folder=objects), _units(sets, flags)))
    for old in set(objects.glob("*.o")) - set(made):
        old.unlink(missing_ok=True)  # another compilation may have been here first
    library.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=library.parent) as folder:  # whoever runs the old library keeps his own copy
        linked = Path(folder) / library.name
        _run([*compiler, *flags, "-shared", *map(str, made), *os.environ.get("LDFLAGS", "").split(), "-o", str(linked)])
        linked.replace(library)
    return tuple(sets)


def _compiler() -> list[str]:
    """The command: CXX where it is set, else the first that there is."""
    if sys.platform == "win32":
        raise CompileError("this is Windows, whose compiler does not know the vector types that they are written in")
    if chosen := os.environ.get("CXX", "").split():
        if shutil.which(chosen[0]) is None:
            raise CompileError(f"CXX={os.environ['CXX']} is no command here")
        return chosen
    for name in ("c++", "g++", "clang++"):
        if found := shutil.which(name):
            return [found]
    raise CompileError("no C++ compiler was found (c++, g++, clang++, or the one that CXX names)")


def _accepted_sets(compiler: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The target's instruction sets whose flags this compiler takes."""
    processor = _run([*compiler, "-dumpmachine"]).split("-")[0].strip() or platform.machine()
    known = INSTRUCTION_SETS.get(PROCESSORS.get(processor.lower(), processor), {"generic": ()})
    return {name: flags for name, flags in known.items() if not flags or _takes(compiler, flags)}


def _takes(compiler: Sequence[str], flags: Sequence[str]) -> bool:
    try:
        _run([*compiler, *flags, "-x", "c++", "-fsyntax-only", os.devnull])
    except CompileError:
        return False
    return True


def _sanitizer_flags(sanitize: str) -> tuple[str, ...]:
    if not sanitize:
        return ()
    return (f"-fsanitize={sanitize}", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer", "-g1", "-O1")


def _units(sets: dict[str, tuple[str, ...]], flags: tuple[str, ...]) -> Iterator[Unit]:
    """In the order of linking: of a function of the standard library that several hold, the plainest form is kept.

    Otherwise a processor without AVX-512 could meet it outside the kernels that are chosen at run time.
    """
    every = f"-DVD_EACH_ISA(each)={' '.join(f'each({name})' for name in sets)}"
    for source in sorted(NATIVE.glob("*.cpp")):
        if source.name != PER_SET:
            yield Unit(source.stem, source, (*flags, every))
    for name, own in reversed(sets.items()):
        yield Unit(name, NATIVE / PER_SET, (*flags, *own, f"-DVD_ISA={name}"))


def _object(unit: Unit, compiler: Sequence[str], *, folder: Path) -> Path:
    """The compiled unit, which is named after everything that it is made of."""
    digest = hashlib.sha256("\0".join([_run([*compiler, "--version"]), *compiler, *unit.flags]).encode())
    for source in (unit.source, *sorted(NATIVE.glob("*.h"))):
        digest.update(source.read_bytes())
    made = folder / f"{unit.name}-{digest.hexdigest()[:16]}.o"
    if not made.exists():
        part = made.with_suffix(f".{os.getpid()}")  # of its own, where two compile at once
        _run([*compiler, *unit.flags, "-c", str(unit.source), "-o", str(part)])
        part.replace(made)
    return made


def _run(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    except OSError as error:
        raise CompileError(f"{command[0]}: {error.strerror}") from error
    if done.stderr:
        print(done.stderr, file=sys.stderr, end="")
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        said = next((line for line in lines if "error" in line), "it said nothing")
        raise CompileError(f"{Path(command[0]).name} failed: {said.strip()}")
    return done.stdout


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(compile_or_say_why(Path(sys.argv[1]), objects=Path(sys.argv[1]) / "objects"))
    else:
        print(compile_or_say_why(HERE, objects=HERE.parents[1] / "build" / "kernels"))
