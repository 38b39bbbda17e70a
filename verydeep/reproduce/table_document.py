"""A table of section 4: the paper's errors beside ours."""

from collections.abc import Iterator, Sequence
from typing import Any

from verydeep.benchmark.sections import Section
from verydeep.reproduce.document import (
    Document,
    circumstances,
    described,
    fraction,
    mean_text,
    notes,
    published_text,
    summary,
)
from verydeep.reproduce.outcome import Errors, Ours
from verydeep.reproduce.published import Table
from verydeep.reproduce.request import Request


def of_table(table: Table, rows: Sequence[Ours], request: Request, *, command: str) -> Document:
    """A table of section 4 with the paper's errors and ours, in percent."""
    has_test = any(one.row.test_top5 is not None for one in rows)
    header = (
        *("network", "S", "Q", "evaluation", "paper top-1", "paper top-5"),
        *(("paper test top-5",) if has_test else ()),
        *("ours top-1", "ours top-5"),
    )
    cells = [_row(one, request, has_test=has_test) for one in rows]
    return Document(
        title=f"{table.title}, scale {request.scale.name}",
        sections=(Section("Errors in percent.", header, 4, cells),),
        notes=(
            *_ours([one.errors for one in rows if one.errors is not None], request),
            *notes(request, command=command),
        ),
        record={
            "table": table.name,
            **circumstances(request, command=command),
            "rows": [_row_record(one, request) for one in rows],
        },
    )


def _row(one: Ours, request: Request, *, has_test: bool) -> tuple[str, ...]:
    row = one.row
    words = (row.label, "", "", "") if row.tested is None else described(row.tested, request)
    return (
        *words,
        *(published_text(value) for value in (row.top1, row.top5, *((row.test_top5,) if has_test else ()))),
        *(mean_text(values) for values in ((None, None) if one.errors is None else (one.errors.top1, one.errors.top5))),
    )


def _ours(errors: Sequence[Errors], request: Request) -> Iterator[str]:
    if errors:
        counts = ", ".join(f"{count:,}" for count in sorted({one.images for one in errors}))
        yield f"ours: mean \N{PLUS-MINUS SIGN} standard deviation, n = {request.seeds} (seeds), {counts} test images"


def _row_record(one: Ours, request: Request) -> dict[str, Any]:
    row = one.row
    paper = {"top1_error": row.top1, "top5_error": row.top5, "test_top5_error": row.test_top5}
    ours = None
    if one.errors is not None:
        ours = {"images": one.errors.images, **summary("top1", one.errors.top1), **summary("top5", one.errors.top5)}
    words = dict.fromkeys(("network", "S", "Q", "evaluation"))
    if row.tested is not None:
        words = dict(zip(words, described(row.tested, request), strict=True))
    return {
        **(words | ({"network": row.label} if row.tested is None else {})),
        "paper": {name: fraction(value) for name, value in paper.items()},
        "ours": ours,
    }
