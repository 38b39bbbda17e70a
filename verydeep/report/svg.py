"""The few shapes that a drawing is made of, and their SVG text."""

import html
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, assert_never

from verydeep.report.grid import one_line

Point: TypeAlias = tuple[float, float]

INK = "#1f2933"
FAINT = "#5b6770"
FONT = "Helvetica, Arial, sans-serif"
GLYPH = 0.56  # mean width of a letter, in font sizes; a bold one is a tenth wider


@dataclass(frozen=True, slots=True)
class Polygon:
    """A filled outline; a viewer shows `tip` when the pointer rests on it."""

    points: tuple[Point, ...]
    fill: str
    stroke: str = "none"
    tip: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """An open line through points, with an arrowhead at its end if `arrow`."""

    points: tuple[Point, ...]
    stroke: str = FAINT
    arrow: bool = False


@dataclass(frozen=True, slots=True)
class Label:
    """One line of text; `at` is the end of its baseline that `anchor` names."""

    at: Point
    text: str
    size: float = 14
    anchor: Literal["start", "middle", "end"] = "start"
    bold: bool = False
    fill: str = INK


Mark: TypeAlias = Polygon | Line | Label


def moved(marks: Iterable[Mark], x: float, y: float) -> tuple[Mark, ...]:
    """The marks, `x` further to the right and `y` further down."""

    def move(mark: Mark) -> Mark:
        if isinstance(mark, Label):
            return replace(mark, at=(mark.at[0] + x, mark.at[1] + y))
        return replace(mark, points=tuple((px + x, py + y) for px, py in mark.points))

    return tuple(map(move, marks))


def rectangle(left: float, top: float, width: float, height: float, *, fill: str, stroke: str = "none") -> Polygon:
    """An upright rectangle."""
    right, bottom = left + width, top + height
    return Polygon(((left, top), (right, top), (right, bottom), (left, bottom)), fill, stroke)


def text_width(text: str, *, size: float, bold: bool = False) -> float:
    """About how wide a line of text is."""
    return len(text) * size * GLYPH * (1.1 if bold else 1)


def document(marks: Iterable[Mark], *, width: float, height: float, title: str, description: str) -> str:
    """A whole SVG file on white ground; `title` and `description` are what a screen reader says."""
    body = "\n".join(map(_element, marks))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_number(width)} {_number(height)}" '
        f'width="{_number(width)}" height="{_number(height)}" role="img" font-family="{FONT}" '
        'stroke-linejoin="round">\n'
        f"<title>{_escape(title)}</title>\n<desc>{_escape(description)}</desc>\n"
        '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        f'<path d="M0 0.5 L8 4 L0 7.5 z" fill="{FAINT}"/></marker></defs>\n'
        f'<rect width="{_number(width)}" height="{_number(height)}" fill="#ffffff"/>\n'
        f"{body}\n</svg>\n"
    )


def _element(mark: Mark) -> str:
    match mark:
        case Polygon():
            shape = f'points="{_points(mark.points)}" fill="{mark.fill}" stroke="{mark.stroke}"'
            tip = f"<title>{_escape(mark.tip)}</title>" if mark.tip else ""
            return f"<polygon {shape}>{tip}</polygon>" if tip else f"<polygon {shape}/>"
        case Line():
            head = ' marker-end="url(#arrow)"' if mark.arrow else ""
            return f'<polyline points="{_points(mark.points)}" fill="none" stroke="{mark.stroke}"{head}/>'
        case Label():
            weight = ' font-weight="bold"' if mark.bold else ""
            x, y = map(_number, mark.at)
            place = f'x="{x}" y="{y}" font-size="{_number(mark.size)}" text-anchor="{mark.anchor}"'
            return f'<text {place} fill="{mark.fill}"{weight}>{_escape(mark.text)}</text>'
        case _:
            assert_never(mark)


def _points(points: tuple[Point, ...]) -> str:
    return " ".join(f"{_number(x)},{_number(y)}" for x, y in points)


def _number(value: float) -> str:
    return f"{round(value, 1):g}" if abs(value) < 1e5 else f"{value:.0f}"


def _escape(text: str) -> str:
    """Text that XML may hold: control characters, which it may not, become blanks."""
    return html.escape(one_line(text))
