"""PASCAL VOC 2007 and 2012, classification: which of twenty classes a photograph shows (Everingham et al., IJCV 2010).

ImageSets/Main/<class>_<set>.txt has a line for each photograph: its number, and 1 where it shows the class, -1 where it
does not, 0 where all it shows of it is marked as difficult. The photographs are JPEGImages/<number>.jpg.
"""

import re
from pathlib import Path

import numpy as np
import numpy.typing as npt

from verydeep.data import voc_devkit
from verydeep.data.decode import shown
from verydeep.data.missing import missing
from verydeep.data.voc_devkit import CLASSES, Year
from verydeep.errors import DataError, choices
from verydeep.transfer.labelled import Labelled, Partition

SETS: dict[
    str, tuple[Year, str, str]
] = {  # for training and for the test; who won in 2012 was decided by a server, which keeps that test's labels
    "voc2007": ("2007", "trainval", "test"),
    "voc2012": ("2012", "train", "val"),
}
LINE = re.compile(r"\s*([\w-]+)\s+(-1|0|1)\s*")
LAYOUT = "Expected ROOT/VOCdevkit/VOC2007 (or ROOT/VOC2007, or ROOT) with ImageSets/Main and JPEGImages in it."


def load(name: str, *, root: Path) -> Labelled:
    """The photographs for training and for the test of "voc2007" or "voc2012", below `root`.

    Raises:
        DataError: a file or photograph is missing, a line is no line of this format, a class is unknown, or the
            classes' files list different photographs.
    """
    year, first, second = SETS[name]
    home = voc_devkit.home(year, root=root, holding="ImageSets/Main")
    numbers, truth = _read(home, first)
    test_numbers, test_truth = _read(home, second)
    if both := sorted(set(numbers) & set(test_numbers)):
        raise DataError(
            f"{shown(home)}: {both[0]} is in {first} and in {second}", code="DATA-LAYOUT", hint="Unpack it again."
        )
    images = tuple(str(home / "JPEGImages" / f"{number}.jpg") for number in (*numbers, *test_numbers))
    absent = [path for path in images if not Path(path).is_file()]
    if absent:
        raise DataError(
            f"{name}: {len(absent)} of {len(images)} photographs are missing, the first is {shown(absent[0])}",
            code="DATA-MISSING",
            hint="Unpack the photographs beside ImageSets.",
        )
    count, total = len(numbers), len(images)
    partition = Partition(np.arange(count), np.arange(count, total))
    return Labelled(name, CLASSES, images, np.concatenate((truth, test_truth)), (partition,), "average-precision")


def _read(home: Path, of: str) -> tuple[tuple[str, ...], npt.NDArray[np.int8]]:
    """The photographs' numbers in a set, and truth (photographs, classes)."""
    folder = home / "ImageSets" / "Main"
    for path in sorted(folder.glob(f"*_{of}.txt")):
        if (unknown := path.name.removesuffix(f"_{of}.txt")) not in CLASSES:
            raise DataError(
                f"{shown(path)}: VOC has no class {unknown!r}", code="DATA-CLASSES", hint=choices(unknown, CLASSES)
            )
    columns: list[dict[str, int]] = [_column(folder / f"{name}_{of}.txt", folder) for name in CLASSES]
    numbers = tuple(columns[0])
    for name, column in zip(CLASSES, columns, strict=True):
        if tuple(column) != numbers:
            raise DataError(
                f"{shown(folder)}: {name}_{of}.txt does not list the photographs of {CLASSES[0]}_{of}.txt, in their "
                "order",
                code="DATA-LAYOUT",
                hint="Unpack it again.",
            )
    return numbers, np.array([list(column.values()) for column in columns], np.int8).T


def _column(path: Path, folder: Path) -> dict[str, int]:
    """What one class's file says of each photograph."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise missing(f"the file of class {path.stem}", file=path.name, searched=[folder], hint=LAYOUT) from None
    found: dict[str, int] = {}
    for place, line in enumerate(lines, start=1):
        read = LINE.fullmatch(line)
        if read is None or read[1] in found:
            why = "is listed twice" if read else "has no photograph's number with 1, 0 or -1 behind it"
            raise DataError(
                f"{shown(path)}, line {place}: {line.strip()[:60]!r} {why}",
                code="DATA-LINE",
                hint="Unpack the file again, or correct the line.",
            )
        found[read[1]] = int(read[2])
    if not found:
        raise DataError(f"{shown(path)} lists no photographs", code="DATA-EMPTY", hint="Unpack it again.")
    return found
