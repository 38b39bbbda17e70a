"""Cells as aligned plain text or as a Markdown table."""

from collections.abc import Sequence
from typing import Literal

Align = Literal["left", "right"]
Cells = Sequence[Sequence[str]]


def plain(header: Sequence[str], rows: Cells, *, align: Sequence[Align]) -> str:
    """Columns two blanks apart under a ruled header; numbers belong to the right."""
    lines = [[one_line(cell) for cell in line] for line in (header, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    written = [
        "  ".join(
            cell.ljust(width) if side == "left" else cell.rjust(width)
            for cell, width, side in zip(line, widths, align, strict=True)
        ).rstrip()
        for line in lines
    ]
    rule = "  ".join("-" * width for width in widths)
    return "\n".join([written[0], rule, *written[1:]])


def markdown(header: Sequence[str], rows: Cells, *, align: Sequence[Align]) -> str:
    """A table in GitHub's Markdown."""
    rule = ["---" if side == "left" else "--:" for side in align]
    lines = [list(map(markdown_text, header)), rule, *(list(map(markdown_text, row)) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def markdown_text(text: str) -> str:
    """Text on one line in which a bar does not end the cell and no tag begins."""
    return one_line(text).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")


def one_line(text: str) -> str:
    """Text in which line breaks and control characters, which would move a terminal's cursor, are blanks."""
    return "".join(c if c.isprintable() else " " for c in text)
