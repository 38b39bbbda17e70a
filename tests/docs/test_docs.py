"""What the documentation says is so: its pages are followed, its commands run, its tables compared with the package."""

import ast
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.docs.pages import PAGES, ROOT, blocks, commands, is_cheap, run, script, workshop, write_files
from verydeep import errors
from verydeep.training.signals import CAUGHT

TUTORIALS = ("add_a_network.md", "add_a_dataset.md", "add_a_backend.md")
PACKAGE = sorted((ROOT / "verydeep").rglob("*.py"))
STOPPED = tuple(sorted(128 + number for number in CAUGHT))  # the exit codes of a run that a signal stopped
ERROR_ROW = re.compile(r"^\| `([A-Z-]+)` \| ([\d, ]+) \| (.+) \| (.+) \|$", re.MULTILINE)


# Pages


@pytest.mark.parametrize("name", TUTORIALS)
def test_who_follows_the_page_gets_what_it_promises(name: str, tmp_path: Path):
    page = ROOT / "docs" / name
    workshop(tmp_path)
    written = write_files(page, home=tmp_path)
    assert any(file.startswith("verydeep/") for file in written)
    assert any(file.startswith("tests/") for file in written)
    program = script(page)
    assert "_pytest(" in program
    run(program, home=tmp_path)
    for command in (["check"], ["format", "--check"]):
        ruff = [sys.executable, "-m", "ruff", *command, "--no-cache", *set(written)]
        done = subprocess.run(ruff, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("page", [page for page in PAGES if page.name not in TUTORIALS], ids=lambda page: page.name)
def test_the_code_and_the_cheap_commands_of_a_page_run(page: Path, tmp_path: Path):
    if any(map(is_cheap, commands(page))) or any(block.language == "python" for block in blocks(page)):
        run(script(page), home=tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_of_a_page_has_its_options(page: Path):
    from verydeep.cli.main import app

    for line in commands(page):
        words = shlex.split(line, comments=True)
        if words[0] == "verydeep" and not words[1].startswith("-"):
            command, bound, ignored = app.parse_args(words[1:], exit_on_error=False, print_error=False)[:3]
            assert command is not None, line
            assert bound is not None, line
            assert not ignored, line


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=lambda page: page.name)
def test_the_files_that_a_page_links_to_exist(page: Path):
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_has_no_block_in_a_language_that_nobody_checks(page: Path):
    assert {block.language for block in blocks(page)} <= {"python", "sh", "diff", "text"}


# Errors


def test_every_error_code_of_the_package_is_on_the_page_with_its_exit_code_and_no_other_is():
    rows = ERROR_ROW.findall((ROOT / "docs" / "errors.md").read_text(encoding="utf-8"))
    listed = [(code, tuple(map(int, exits.split(",")))) for code, exits, _, _ in rows]
    assert len(listed) == len(set(listed))
    raised = set(_raised())
    assert sorted(raised - set(listed)) == [], "the package has codes that docs/errors.md lacks"
    assert sorted(set(listed) - raised) == [], "docs/errors.md has codes that the package lacks"


def test_the_page_of_errors_is_sorted_by_exit_code_and_then_by_code():
    rows = ERROR_ROW.findall((ROOT / "docs" / "errors.md").read_text(encoding="utf-8"))
    assert rows == sorted(rows, key=lambda row: (int(row[1].split(",")[0]), row[0]))


def _raised() -> Iterator[tuple[str, tuple[int, ...]]]:
    """Each code in the package, with the exit code of the class that carries it."""
    for path in PACKAGE:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                for keyword in node.keywords:
                    if keyword.arg == "code" and isinstance(keyword.value, ast.Constant):
                        code = str(keyword.value.value)
                        yield code, STOPPED if code == "INTERRUPTED" else (_exit(ast.unparse(node.func)),)
    yield errors.SpecError("").code, (_exit("SpecError"),)


def _exit(exception: str) -> int:
    return getattr(errors, exception).exit_code


# The map of the paper


def test_every_function_on_the_map_is_in_its_file():
    text = (ROOT / "docs" / "paper_map.md").read_text(encoding="utf-8")
    found = re.findall(r"`(verydeep/[\w/]+\.py)`((?:,? `[\w.]+`)*)", text)
    assert len(found) > 20
    for file, names in found:
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        for name in re.findall(r"`([\w.]+)`", names):
            assert name in _defined(tree), f"{file} has no {name}"


def _defined(tree: ast.Module) -> set[str]:
    """The names that a module defines, and the fields of its classes as Class.field."""
    names: set[str] = set()
    for node in tree.body:
        match node:
            case ast.FunctionDef(name=name) | ast.AnnAssign(target=ast.Name(id=name)):
                names.add(name)
            case ast.Assign(targets=[ast.Name(id=name)]):
                names.add(name)
            case ast.ClassDef(name=name, body=body):
                names.add(name)
                fields = (line.target for line in body if isinstance(line, ast.AnnAssign))
                names |= {f"{name}.{field.id}" for field in fields if isinstance(field, ast.Name)}
            case _:
                pass
    return names


# What goes with a release


def test_the_changelog_the_citation_and_the_package_name_one_version_and_date():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## \[(\d\S*)\] - (\S+)$", changelog, re.MULTILINE)
    assert versions[0] == (citation["version"], citation["date-released"])
    assert citation["version"] == project["version"]
    assert citation["license"] == project["license"]
    assert citation["authors"] == project["authors"]


def test_the_citation_has_what_its_format_requires_and_refers_to_the_paper():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    (paper,) = citation["references"]
    assert {"type", "title", "authors"} <= set(paper)
    assert [author["family-names"] for author in paper["authors"]] == ["Simonyan", "Zisserman"]
    assert paper["identifiers"][0]["value"] == "arXiv:1409.1556"


def test_the_licence_is_the_full_apache_text():
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert text.split()[:4] == ["Apache", "License", "Version", "2.0,"]
    headings = re.findall(r"^   (\d)\. ", text, re.MULTILINE)
    assert headings == list("123456789")
    assert "END OF TERMS AND CONDITIONS" in text


def test_git_leaves_golden_files_as_they_are():
    assert "tests/golden/* -text" in (ROOT / ".gitattributes").read_text(encoding="utf-8").splitlines()
