"""Table 11: features for other data sets, what the paper reached with them and what was reached here."""

from collections.abc import Sequence

from verydeep.benchmark.sections import NONE, Section
from verydeep.report.words import plural
from verydeep.reproduce.document import Document, circumstances, conditions, data_text, lengths, mean_text
from verydeep.reproduce.request import Request
from verydeep.reproduce.transfer_targets import Target, published, published_json


def of_transfer(targets: Sequence[Target], request: Request, *, command: str) -> Document:
    """Table 11: what each kind of features reaches on each data set."""
    names = list(dict.fromkeys(name for target in targets for name in target.rows or ()))
    header = ("features", *(f"{whose} {target.title}" for target in targets for whose in ("paper", "ours")))
    cells = [
        (name, *(cell for target in targets for cell in (published(target, name) or NONE, _reached(target, name))))
        for name in names
    ]
    absent = [target.title for target in targets if target.rows is None]
    measures = ", ".join(f"{target.title}: {target.measure}" for target in targets)
    return Document(
        title=f"Table 11: features for other data sets, scale {request.scale.name}",
        sections=(Section("Percent that is right.", header, 1, cells),),
        notes=(
            f"measures: {measures}",
            *([f"not here, so not computed: {', '.join(absent)}"] if absent else []),
            f"features of nets trained on {data_text(request)}; {lengths(request)}",
            f"ours: mean \N{PLUS-MINUS SIGN} standard deviation, {plural(request.seeds, 'seed')} times partitions",
            *conditions(command),
        ),
        record={
            "table": "table11",
            **circumstances(request, command=command),
            "rows": [
                {
                    "features": name,
                    "targets": {
                        target.data: {
                            "measure": target.measure,
                            "paper": published_json(target, name),
                            "ours": list(target.rows[name]),
                        }
                        for target in targets
                        if target.rows is not None and name in target.rows
                    },
                }
                for name in names
            ],
        },
    )


def _reached(target: Target, name: str) -> str:
    return mean_text(None if target.rows is None or name not in target.rows else [100.0 * x for x in target.rows[name]])
