"""One annotation file in PASCAL VOC's form (XML), which ILSVRC has too: an image's size, its objects, their boxes.

M. Everingham et al.: The PASCAL Visual Object Classes (VOC) Challenge, IJCV 2010. The files may come from anywhere:
one that is larger than a megabyte is refused unread, and one with a DOCTYPE, without which XML has no entities to
expand, where the DOCTYPE begins.
"""

import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NoReturn, TypeAlias
from xml.etree import ElementTree
from xml.parsers import expat

from verydeep.data.decode import shown
from verydeep.errors import DataError

MOST_BYTES = 1_000_000  # the largest of VOC 2012 has 14 kB
MOST_OBJECTS = 10_000
NUMBER = re.compile(r"\s*[+-]?\d{1,9}(\.\d{1,20})?\s*")  # some of VOC 2011 and 2012 have fractions

Counting: TypeAlias = Literal["from-1", "edges"]


@dataclass(frozen=True, slots=True)
class Marked:
    """One object of an image."""

    name: str  # its class, as the file writes it
    box: tuple[float, float, float, float]  # left, top, right, bottom, in continuous pixels
    difficult: bool  # VOC's mark for objects that do not count


@dataclass(frozen=True, slots=True)
class Annotation:
    """What a file says of one image."""

    size: tuple[int, int]  # height, width
    objects: tuple[Marked, ...]


def read_annotation(path: Path, *, counting: Counting) -> Annotation:
    """The annotation in a file.

    Args:
        path: The XML file.
        counting: "from-1", as VOC: pixels count from 1 and xmax is the last pixel inside, so a box covers
            [xmin - 1, xmax]; "edges", as ILSVRC, whose xmin is 0 at the border: a box covers [xmin, xmax].

    Raises:
        DataError: code ANNOTATION-DAMAGED, it is no regular file, no such XML, too large, or a number is missing.
    """
    tree = _parse(path)
    size = tuple(_number(tree, f"size/{side}", path) for side in ("height", "width"))
    if not all(length.is_integer() and length >= 1 for length in size):
        raise damaged(path, f"the size is {size[1]:g}x{size[0]:g}")
    objects = tree.findall("object")
    if len(objects) > MOST_OBJECTS:
        raise damaged(path, f"it has {len(objects):,} objects")
    found = tuple(_marked(one, path, shift=1.0 if counting == "from-1" else 0.0) for one in objects)
    return Annotation((int(size[0]), int(size[1])), found)


def damaged(path: Path, why: str) -> DataError:
    """The error for a file that cannot be used."""
    return DataError(
        f"the annotation {shown(path)} cannot be used: {why}",
        code="ANNOTATION-DAMAGED",
        hint="Unpack the data set again.",
    )


def _parse(path: Path) -> ElementTree.Element:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise damaged(path, "it is no regular file")
        if status.st_size > MOST_BYTES:
            raise damaged(path, f"{status.st_size:,} bytes are more than the limit of {MOST_BYTES:,}")
        data = path.read_bytes()
    except OSError as error:
        raise damaged(path, (error.strerror or str(error)).lower()) from None

    def refuse(*declared: object) -> NoReturn:
        raise damaged(path, f"it declares a document type, {declared[0]!r:.40}")

    reader = expat.ParserCreate()
    reader.StartDoctypeDeclHandler = refuse
    try:
        reader.Parse(data, True)
        tree = ElementTree.fromstring(data)
    except (expat.ExpatError, ElementTree.ParseError, ValueError, LookupError) as error:
        raise damaged(path, str(error)) from None
    if tree.tag != "annotation":
        raise damaged(path, f"it begins with <{tree.tag:.40}>, not <annotation>")
    return tree


def _marked(element: ElementTree.Element, path: Path, *, shift: float) -> Marked:
    left, top, right, bottom = (_number(element, f"bndbox/{side}", path) for side in ("xmin", "ymin", "xmax", "ymax"))
    name = (element.findtext("name") or "").strip()
    if not name:
        raise damaged(path, "an object has no name")
    difficult = (element.findtext("difficult") or "0").strip() == "1"
    return Marked(name, (left - shift, top - shift, right, bottom), difficult)


def _number(element: ElementTree.Element, place: str, path: Path) -> float:
    text = element.findtext(place)
    if text is None:
        raise damaged(path, f"<{place.replace('/', '><')}> is missing")
    if not NUMBER.fullmatch(text):
        raise damaged(path, f"<{place.replace('/', '><')}> is {text.strip()[:40]!r}, not a number")
    return float(text)
