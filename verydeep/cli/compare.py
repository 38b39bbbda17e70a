"""`verydeep compare`: networks side by side."""

import json
from typing import Literal

from verydeep.cli.described import AS_IT_IS, Options, described
from verydeep.cli.options import Out
from verydeep.cli.output import write_text
from verydeep.errors import ConfigError
from verydeep.report import compare
from verydeep.report.table_1 import table_1


def run(
    *nets: str,
    options: Options = AS_IT_IS,
    format: Literal["text", "json", "markdown", "table1"] = "text",
    out: Out = None,
) -> None:
    """Networks side by side: depth, parameters, cost, the share of the fully connected layers, receptive field.

    Args:
        nets: Two or more names, run folders, models' files or networks' JSON files.
        format: text, json or markdown; table1 is the paper's Table 1 for these networks, in Markdown.
    """
    if not nets:
        raise ConfigError("there is nothing to compare", code="USAGE", hint="Try `verydeep compare alexnet vgg16`.")
    networks = [described(net, options) for net in nets]
    match format:
        case "text":
            text = compare.to_text(networks)
        case "json":
            text = json.dumps(compare.to_json(networks), indent=2)
        case "markdown":
            text = compare.to_markdown(networks)
        case "table1":
            text = table_1(networks)
    write_text(text, out)
