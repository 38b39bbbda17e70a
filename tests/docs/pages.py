"""The pages of documentation: their fenced blocks, the commands in them, and a way to follow a page to the letter."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"# ([\w/.]+\.py)\n")  # the first line of a block that is a file, or a change of one

CHEAP = ("list", "show", "compare", "code", "doctor", "--help", "--version")
FREE = ("--help", "--dry-run", "--print-config")  # what makes any command cheap


@dataclass(frozen=True, slots=True)
class Fenced:
    """One fenced block: python, sh, diff, text."""

    language: str
    text: str

    @property
    def file(self) -> str:
        """The file that the block is, or changes; empty where it is neither."""
        named = FILE.match(self.text) if self.language in ("python", "diff") else None
        return named[1] if named else ""


def blocks(page: Path) -> list[Fenced]:
    return [Fenced(found[1], found[2]) for found in FENCE.finditer(page.read_text(encoding="utf-8"))]


def commands(page: Path) -> Iterator[str]:
    """Every line of a shell block."""
    return (line for block in blocks(page) if block.language == "sh" for line in block.text.splitlines() if line)


def is_cheap(command: str) -> bool:
    words = shlex.split(command, comments=True)
    return words[0] == "verydeep" and (words[1] in CHEAP or any(option in words for option in FREE))


def workshop(folder: Path) -> None:
    """A copy of the repository that a page may change."""
    for name in ("verydeep", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)


def write_files(page: Path, *, home: Path) -> list[str]:
    """Make and change the files that the page says; their names."""
    written: list[str] = []
    for block in blocks(page):
        if block.file and block.language == "python":
            (home / block.file).write_text(block.text.partition("\n")[2], encoding="utf-8")
        elif block.file:
            change(home / block.file, block.text.partition("\n")[2])
        if block.file:
            written.append(block.file)
    return written


def change(path: Path, diff: str) -> None:
    """Apply hunks that "@@" parts; the old lines of each must be in the file exactly once."""
    text = path.read_text(encoding="utf-8")
    for hunk in diff.split("@@\n"):
        lines = hunk.splitlines(keepends=True)
        old = "".join(line[1:] for line in lines if line[0] != "+")
        new = "".join(line[1:] for line in lines if line[0] != "-")
        assert text.count(old) == 1, f"{path.name} does not have these lines once:\n{old}"
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")


def script(page: Path) -> str:
    """The page as one program: its plain Python blocks in their order, then what a reader types in a shell."""
    found = blocks(page)
    code = [block.text for block in found if block.language == "python" and not block.file]
    lines = list(commands(page))
    cheap = [f"_verydeep({line!r})" for line in lines if is_cheap(line)]
    own = [f"_pytest({line!r})" for line in lines if _is_own_test(line, page)]
    return "\n".join((HEAD, *code, *cheap, *own))


def run(program: str, *, home: Path) -> None:
    """Run a program in the folder `home` with the package that is there."""
    file = home / "page.py"
    file.write_text(program, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(home if (home / "verydeep").is_dir() else ROOT)}
    for name in ("VERYDEEP_DATA", "VERYDEEP_UPDATE_GOLDEN"):
        environment.pop(name, None)
    done = subprocess.run(
        [sys.executable, str(file)], cwd=home, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"


def _is_own_test(line: str, page: Path) -> bool:
    """Whether a command runs the test file that the page itself has written."""
    own = [block.file for block in blocks(page) if block.file.startswith("tests/")]
    return line.startswith("pytest ") and any(file in line for file in own)


HEAD = """
import shlex


def _verydeep(line):
    from verydeep.cli.main import main

    print("+", line)
    try:
        main(shlex.split(line, comments=True)[1:])
    except SystemExit as end:
        if end.code:
            raise SystemExit(f"{line}: exit code {end.code}") from None


def _pytest(line):
    import subprocess
    import sys

    print("+", line, flush=True)
    subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *shlex.split(line)[1:]], check=True)

"""
