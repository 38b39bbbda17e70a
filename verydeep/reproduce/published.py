"""Tables 3 to 7 as the paper has them: what was trained and tested, and its errors on ImageNet in percent.

arXiv:1409.1556 v6. A row is the declaration of an experiment and its published result at once.
"""

from dataclasses import dataclass

from verydeep.reproduce.declared import JITTERED, Experiment, Kind, Trained


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table: errors in percent, None where the paper has no number."""

    tested: Experiment | None  # None: a network of others, which is not trained here
    top1: float | None
    top5: float | None
    test_top5: float | None = None  # on the test images of ILSVRC, whose labels were never published
    label: str = ""  # of others' networks


@dataclass(frozen=True, slots=True)
class Table:
    """A table of section 4."""

    name: str  # as the command calls it
    title: str
    rows: tuple[Row, ...]


def _one(net: str, side: str = "256", *, kind: Kind = "dense") -> Experiment:
    return Experiment((_trained(net, side),), kind)


def _three(*trained: Trained, kind: Kind = "dense") -> Experiment:
    return Experiment(trained, kind, "three")


def _trained(net: str, side: str) -> Trained:
    match side:
        case "256":
            return Trained(net, "256")
        case "384":
            return Trained(net, "384")
        case _:
            return Trained(net, JITTERED)


_D, _E = Trained("D", JITTERED), Trained("E", JITTERED)
_SEVEN = (
    Trained("D", "256"),
    Trained("D", "384"),
    _D,
    Trained("C", "256"),
    Trained("C", "384"),
    Trained("E", "256"),
    Trained("E", "384"),
)

TABLE_3 = Table(
    "table3",
    "Table 3: one test scale",
    (
        Row(_one("A"), 29.6, 10.4),
        Row(_one("A-LRN"), 29.7, 10.5),
        Row(_one("B"), 28.7, 9.9),
        Row(_one("C"), 28.1, 9.4),
        Row(_one("C", "384"), 28.1, 9.3),
        Row(_one("C", JITTERED), 27.3, 8.8),
        Row(_one("D"), 27.0, 8.8),
        Row(_one("D", "384"), 26.8, 8.7),
        Row(_one("D", JITTERED), 25.6, 8.1),
        Row(_one("E"), 27.3, 9.0),
        Row(_one("E", "384"), 26.9, 8.7),
        Row(_one("E", JITTERED), 25.5, 8.0),
    ),
)

TABLE_4 = Table(
    "table4",
    "Table 4: three test scales",
    (
        Row(_three(Trained("B")), 28.2, 9.6),
        Row(_three(Trained("C")), 27.7, 9.2),
        Row(_three(Trained("C", "384")), 27.8, 9.2),
        Row(_three(Trained("C", JITTERED)), 26.3, 8.2),
        Row(_three(Trained("D")), 26.6, 8.6),
        Row(_three(Trained("D", "384")), 26.5, 8.6),
        Row(_three(_D), 24.8, 7.5),
        Row(_three(Trained("E")), 26.9, 8.7),
        Row(_three(Trained("E", "384")), 26.7, 8.6),
        Row(_three(_E), 24.8, 7.5),
    ),
)

TABLE_5 = Table(
    "table5",
    "Table 5: dense evaluation, multi-crop evaluation and both",
    (
        Row(_three(_D), 24.8, 7.5),
        Row(_three(_D, kind="multi-crop"), 24.6, 7.5),
        Row(_three(_D, kind="both"), 24.4, 7.2),
        Row(_three(_E), 24.8, 7.5),
        Row(_three(_E, kind="multi-crop"), 24.6, 7.4),
        Row(_three(_E, kind="both"), 24.4, 7.1),
    ),
)

TABLE_6 = Table(
    "table6",
    "Table 6: several networks together",
    (
        Row(_three(*_SEVEN), 24.7, 7.5, 7.3),
        Row(_three(_D, _E), 24.0, 7.1, 7.0),
        Row(_three(_D, _E, kind="multi-crop"), 23.9, 7.2),
        Row(_three(_D, _E, kind="both"), 23.7, 6.8, 6.8),
    ),
)

TABLE_7 = Table(
    "table7",
    "Table 7: comparison with the state of the art",
    (
        Row(_three(_D, _E, kind="both"), 23.7, 6.8, 6.8),
        Row(_three(_E, kind="both"), 24.4, 7.1, 7.0),
        Row(_three(*_SEVEN), 24.7, 7.5, 7.3),
        Row(None, None, None, 7.9, label="GoogLeNet, 1 net"),
        Row(None, None, None, 6.7, label="GoogLeNet, 7 nets"),
        Row(None, None, None, 8.1, label="MSRA, 11 nets"),
        Row(None, 27.9, 9.1, 9.1, label="MSRA, 1 net"),
        Row(None, None, None, 11.7, label="Clarifai, multiple nets"),
        Row(None, None, None, 12.5, label="Clarifai, 1 net"),
        Row(None, 36.0, 14.7, 14.8, label="Zeiler & Fergus, 6 nets"),
        Row(None, 37.5, 16.0, 16.1, label="Zeiler & Fergus, 1 net"),
        Row(None, 34.0, 13.2, 13.6, label="OverFeat, 7 nets"),
        Row(None, 35.7, 14.2, label="OverFeat, 1 net"),
        Row(None, 38.1, 16.4, 16.4, label="Krizhevsky et al., 5 nets"),
        Row(None, 40.7, 18.2, label="Krizhevsky et al., 1 net"),
    ),
)

TABLES = {table.name: table for table in (TABLE_3, TABLE_4, TABLE_5, TABLE_6, TABLE_7)}
