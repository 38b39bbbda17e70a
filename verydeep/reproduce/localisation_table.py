"""Tables 8 and 9: localisers compared, on the embedded photographs with boxes."""

from collections.abc import Sequence

from verydeep.benchmark.sections import Section
from verydeep.errors import ConfigError
from verydeep.report.words import plural
from verydeep.reproduce.document import (
    Document,
    circumstances,
    conditions,
    fraction,
    mean_text,
    published_text,
    summary,
)
from verydeep.reproduce.localisation_study import Row, table8, table9
from verydeep.reproduce.progress import say
from verydeep.reproduce.request import Request

FOLDER = "localisation"

TITLES = {
    "table8": "Table 8: localisation error with the true class given (protocol 1)",
    "table9": "Table 9: localisation error of five guesses (protocol 2)",
}


def rows(name: str, request: Request) -> Sequence[Row]:
    """The rows of a table; what lies in the folder is not trained again, a training that was stopped begins anew."""
    compute = table8 if name == "table8" else table9
    return compute(request.out / FOLDER, seeds=range(request.seeds), device=request.device, say=say)


def plan(name: str, request: Request) -> str:
    """What would be computed, as text."""
    return (
        f"{name}, scale {request.scale.name}, {plural(request.seeds, 'seed')}\n\n"
        f"classifiers and localisers in {request.out / FOLDER}: about 5 minutes of one core for each seed of table8, 3 "
        "more for table9; what lies there is not trained again\n"
    )


def refuse_scale(name: str, request: Request) -> None:
    """ConfigError at a scale for which these tables are not one command."""
    if request.scale.divisor == 1:
        raise ConfigError(
            f"{name} has no scale {request.scale.name}",
            code="REPRODUCE-SCALE",
            hint="Train classifiers with `verydeep reproduce table3`, then `verydeep localise train` and `evaluate`: "
            "docs/localise.md has the commands.",
        )


def of_localisation(name: str, rows: Sequence[Row], request: Request, *, command: str) -> Document:
    """Table 8 or 9, with the paper's errors where it has the row."""
    header = ("localiser", "paper", "ours")
    percent = [[100.0 * error for error in one.errors] for one in rows]
    cells = [
        (one.name, published_text(one.published), mean_text(found)) for one, found in zip(rows, percent, strict=True)
    ]
    return Document(
        title=f"{TITLES[name]}, scale {request.scale.name}",
        sections=(Section("Errors in percent.", header, 1, cells),),
        notes=(
            "data: digits on photographs, embedded, made for this table; the paper's figures are of ImageNet: compare "
            "differences, not errors",
            "S = 80 and 96 stand for 256 and 384; table8 is computed at S = 80, where the paper has 384",
            f"ours: mean \N{PLUS-MINUS SIGN} standard deviation, n = {request.seeds} (seeds)",
            *conditions(command),
        ),
        record={
            "table": name,
            **circumstances(request, command=command),
            "data": "synthetic",
            "rows": [
                {
                    "localiser": one.name,
                    "paper": {"error": fraction(one.published)},
                    "ours": summary("", found),
                }
                for one, found in zip(rows, percent, strict=True)
            ],
        },
    )
