"""The README's generated parts are what the package gives today; VERYDEEP_UPDATE_GOLDEN=1 writes them anew."""

import ast
import os
import re
import subprocess
from pathlib import Path

import pytest

from verydeep.families.catalog import PAPER_NAMES, network
from verydeep.report.draw import draw
from verydeep.report.table_1 import table_1

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
COLUMNS = ("A", "A-LRN", "B", "C", "D", "E")


def _generated(name: str, text: str) -> None:
    """The README's part between `<!-- name -->` and `<!-- end -->` must be `text`."""
    readme = README.read_text()
    pattern = re.compile(rf"(<!-- {name} -->\n)(.*?)(<!-- end -->)", re.DOTALL)
    if os.environ.get("VERYDEEP_UPDATE_GOLDEN"):
        readme = pattern.sub(lambda found: f"{found[1]}{text}\n{found[3]}", readme)
        README.write_text(readme)
    found = pattern.search(readme)
    assert found is not None
    assert found[2].strip() == text.strip()


def test_table_1_is_regenerated_by_the_tool():
    _generated("table 1", table_1([network(name) for name in COLUMNS]))


def test_the_tree_has_one_comment_for_each_file():
    lines = [*_branch(ROOT / "verydeep"), "examples/", *_branch(ROOT / "examples")]
    _generated("tree", "```\n" + "\n".join(lines) + "\n```")


def test_the_picture_is_what_the_tool_draws():
    picture = ROOT / "docs" / "vgg16.svg"
    if os.environ.get("VERYDEEP_UPDATE_GOLDEN"):
        picture.write_text(draw(network("D")))
    assert picture.read_text() == draw(network("D"))


def test_the_counts_in_the_readme_are_exact():
    from verydeep.report.table import summary

    readme = README.read_text()
    for letter in PAPER_NAMES:
        if letter not in ("A-LRN", "shallow"):
            costs = summary(network(letter))
            counts = f"{costs.params:,} | {costs.params_conv:,} | {costs.params_fc:,} | {costs.macs:,}"
            assert re.search(rf"^\| {letter}(, A-LRN)? \| {re.escape(counts)} \|", readme, re.MULTILINE)


@pytest.mark.parametrize("line", [line for line in README.read_text().splitlines() if line.startswith("verydeep ")])
def test_every_command_in_the_readme_has_its_options(line: str, capsys):
    from verydeep.cli.main import app

    words = line.split("#")[0].split()[1:]
    command, bound, ignored = app.parse_args(words, exit_on_error=False, print_error=False)[:3]
    assert command is not None
    assert bound is not None
    assert not ignored


def test_the_linked_files_exist():
    for target in re.findall(r"\]\(([^)#:]+)\)", README.read_text()):
        assert (ROOT / target).exists(), target


def test_the_test_command_is_the_one_that_ci_runs():
    script = (ROOT / ".ci" / "run").read_text()
    extract = next(line for line in script.splitlines() if line.startswith("test_command=$("))
    found = subprocess.run(
        ["bash", "-c", f'{extract}; echo "$test_command"'], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "pytest" in found.stdout
    assert found.stdout.count("\n") == 1


def _branch(folder: Path, depth: int = 0) -> list[str]:
    """A folder's lines: its own sentence, its files, its folders."""
    lines: list[str] = []
    own = folder / "__init__.py"
    if own.exists():
        lines.append(f"{'  ' * depth + folder.name + '/':28} {_first_sentence(own)}")
    files = sorted(path for path in folder.glob("*.py") if path != own)
    lines += [f"{'  ' * (depth + 1) + path.name:28} {_first_sentence(path)}" for path in files]
    for inner in sorted(path.parent for path in folder.glob("*/__init__.py")):
        lines += _branch(inner, depth + 1)
    return lines


def _first_sentence(path: Path) -> str:
    docstring = ast.get_docstring(ast.parse(path.read_text())) or ""
    sentence = docstring.splitlines()[0]
    return sentence.rstrip(".")
