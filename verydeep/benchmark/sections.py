"""A benchmark as text: sections of a title, a table and remarks, then what must be known to believe them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from verydeep.benchmark.circumstances import Circumstances
from verydeep.report import grid
from verydeep.report.words import plural

NONE = "-"


@dataclass(frozen=True, slots=True)
class Section:
    """One table under its title; the first `texts` columns hold words, the others numbers."""

    title: str
    header: Sequence[str]
    texts: int
    cells: Sequence[Sequence[str]]
    remarks: Sequence[str] = ()


def to_text(sections: Iterable[Section], notes: Iterable[str]) -> str:
    """For a terminal."""
    return "\n\n".join([*(part for one in sections for part in _parts(one, grid.plain)), "\n".join(notes)])


def to_markdown(sections: Iterable[Section], notes: Iterable[str]) -> str:
    """For a document."""
    parts = [part for one in sections for part in _parts(one, grid.markdown)]
    return "\n\n".join([*parts, "\n".join(f"- {grid.markdown_text(line)}" for line in notes)])


def number(value: float | None, *, digits: int = 1, unit: str = "") -> str:
    """A number with its unit, or a dash where nobody knows."""
    return NONE if value is None else f"{value:,.{digits}f}{unit}"


def status(failed: str) -> str:
    """What stands for the time of a row that has none; the reason is a remark."""
    return failed.partition(":")[0] if failed.startswith("unavailable:") else "failed"


def reason(name: str, failed: str) -> str:
    """The remark on a row that has no time."""
    return f"{name} is {failed}" if failed.startswith("unavailable:") else f"{name} failed: {failed}"


def conditions(around: Circumstances) -> list[str]:
    """Warnings first, then the machine and the command."""
    machine = around.machine
    flags = f" ({', '.join(machine['cpu_flags'])})" if machine["cpu_flags"] else ""
    return [
        *(f"warning: {line}" for line in around.warnings),
        f"{machine['cpu'] or 'a processor without a name'}{flags}, {plural(machine['cores'], 'processor')}; "
        f"others used {number(around.others_before)} of them before and {number(around.others_during)} during the run",
        *([f"command: {around.command}"] if around.command else []),
    ]


def _parts(section: Section, draw: Callable[..., str]) -> list[str]:
    align: list[grid.Align] = ["left" if n < section.texts else "right" for n in range(len(section.header))]
    table = draw(section.header, section.cells, align=align)
    return [section.title, table, *(["\n".join(section.remarks)] if section.remarks else [])]
