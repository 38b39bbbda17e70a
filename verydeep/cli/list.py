"""`verydeep list`: networks, data sets and recipes by name."""

import json
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Literal

from verydeep.errors import ConfigError
from verydeep.families.catalog import CATALOG, PAPER_NAMES
from verydeep.report import grid
from verydeep.report.table import summary

KINDS = ("networks", "data", "recipes")


def run(
    what: Literal["networks", "data", "recipes"] | str = "networks",
    pattern: str = "*",
    /,
    *,
    format: Literal["text", "json", "markdown"] = "text",
) -> None:
    """Networks, data sets and recipes by name.

    Args:
        what: networks, data or recipes; or at once a pattern for networks, such as "vgg*".
        pattern: Only names that match, with * for anything.
        format: text, json or markdown.
    """
    if what not in KINDS:
        what, pattern = "networks", what
    rows = list(_rows(what, pattern.lower()))
    if not rows:
        near = get_close_matches(pattern, KINDS, n=1)
        hint = f"Did you mean {near[0]}?" if near else f"`verydeep list {what}` shows all."
        raise ConfigError(f"no {what} match {pattern!r}", code="LIST-NONE", hint=hint)
    if format == "json":
        print(json.dumps(rows, indent=2))
        return
    header = list(rows[0])
    cells = [[f"{value:,}" if isinstance(value, int) else str(value or "") for value in row.values()] for row in rows]
    align: list[grid.Align] = ["right" if isinstance(value, int) else "left" for value in rows[0].values()]
    draw = grid.plain if format == "text" else grid.markdown
    print(draw(header, cells, align=align))


def _rows(what: str, pattern: str) -> Iterator[dict[str, object]]:
    match what:
        case "networks":
            paper = {usual: letter for letter, usual in PAPER_NAMES.items()}
            for name in _matching(CATALOG, pattern):
                network = CATALOG[name]()
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

            for name in _matching(DATASETS, pattern):
                dataset = DATASETS[name]
                shape = "x".join(map(str, dataset.shape)) if dataset.shape else "any"
                yield {"name": name, "title": dataset.title, "classes": str(dataset.classes or "any"), "image": shape}
        case _:
            from verydeep.settings.recipes import RECIPES

            for name in _matching(RECIPES, pattern):
                yield {"name": name, "what": (RECIPES[name].__doc__ or "").partition("\n")[0]}


def _matching(names: Iterable[str], pattern: str) -> Iterator[str]:
    return (name for name in names if fnmatchcase(name, pattern))
