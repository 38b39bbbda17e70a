from collections.abc import Callable

from verydeep.families.catalog import network
from verydeep.report.table_1 import table_1

COLUMNS = ("A", "A-LRN", "B", "C", "D", "E")


def test_table_1_is_the_reviewed_one(golden: Callable[[str, str], None]):
    golden("table_1.md", table_1([network(name) for name in COLUMNS]))


def test_the_last_row_is_table_2_of_the_paper():
    last = table_1([network(name) for name in COLUMNS]).splitlines()[-1]
    assert [cell.split()[0] for cell in last.strip("| ").split(" | ")] == ["133", "133", "133", "134", "138", "144"]


def test_what_a_column_adds_is_bold_as_in_the_paper():
    rows = [
        [cell.strip() for cell in line[1:-1].split("|")]
        for line in table_1([network(name) for name in COLUMNS]).splitlines()
    ]
    bold = {
        letter: [cell.strip("*") for row in rows if (cell := row[number]).startswith("**")]
        for number, letter in enumerate(COLUMNS)
    }
    assert bold == {
        "A": [],
        "A-LRN": ["LRN"],
        "B": ["conv3-64", "conv3-128"],
        "C": ["conv1-256", "conv1-512", "conv1-512"],
        "D": ["conv3-256", "conv3-512", "conv3-512"],
        "E": ["conv3-256", "conv3-512", "conv3-512"],
    }


def test_networks_of_other_papers_and_of_other_lengths_stand_beside():
    written = table_1([network("lenet5"), network("resnet18"), network("D")])
    lines = written.splitlines()
    assert lines[0] == "| lenet5 | resnet18 | D |"
    assert "| average pool |" in written
    assert "2 paths, add" in written
    assert {line.count("|") for line in lines} == {4}
