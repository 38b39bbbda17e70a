"""`verydeep list`: networks, data sets and recipes by name."""

import json
from collections.abc import Iterable
from fnmatch import fnmatch
from typing import Literal

from verydeep.errors import ConfigError
from verydeep.families.catalog import CATALOG, PAPER_NAMES
from verydeep.report import grid
from verydeep.report.table import summary


def run(
    what: Literal["networks", "data", "recipes"] | str = "networks",
    pattern: str = "*",
    *,
    format: Literal["text", "json", "markdown"] = "text",
) -> None:
    """Networks, data sets and recipes by name.

    Args:
        what: networks, data or recipes; or at once a pattern for networks, such as "vgg*".
        pattern: Only names that match, with * for anything.
        format: text, json or markdown.
    """
    if what not in ("networks", "data", "recipes"):
        what, pattern = "networks", what
    rows = [row for row in _rows(what) if fnmatch(str(row["name"]), pattern.lower())]
    if not rows:
        raise ConfigError(f"no {what} match {pattern!r}", code="LIST-NONE", hint=f"`verydeep list {what}` shows all.")
    if format == "json":
        print(json.dumps(rows, indent=2))
        return
    header = list(rows[0])
    cells = [[f"{value:,}" if isinstance(value, int) else str(value or "") for value in row.values()] for row in rows]
    align: list[grid.Align] = ["right" if isinstance(value, int) else "left" for value in rows[0].values()]
    draw = grid.plain if format == "text" else grid.markdown
    print(draw(header, cells, align=align))


def _rows(what: str) -> Iterable[dict[str, object]]:
    match what:
        case "networks":
            paper = {usual: letter for letter, usual in PAPER_NAMES.items()}
            for name, family in CATALOG.items():
                network = family()
                costs = summary(network)
                yield {
                    "name": name,
                    "paper": paper.get(name, ""),
                    "input": "x".join(map(str, network.input)),
                    "params": costs.params,
                    "macs": costs.macs,
                    "source": network.source,
                }
        case "data":
            from verydeep.data.catalog import DATASETS

            for dataset in DATASETS.values():
                shape = "x".join(map(str, dataset.shape)) if dataset.shape else "any"
                classes = str(dataset.classes or "any")
                yield {"name": dataset.name, "title": dataset.title, "classes": classes, "image": shape}
        case _:
            from verydeep.train.recipes import RECIPES

            for name, recipe in RECIPES.items():
                first_line = (recipe.__doc__ or "").splitlines()[0]
                yield {"name": name, "what": first_line}
