"""`verydeep show`: a network's layers as a table, JSON, Markdown or a drawing."""

import json
from dataclasses import replace
from typing import Annotated, Literal

from cyclopts import Parameter

from verydeep import spec_json
from verydeep.cli.described import AS_IT_IS, Options, described, pixels
from verydeep.cli.options import Out
from verydeep.cli.output import write_text
from verydeep.report import table
from verydeep.report.draw import draw


def run(
    net: str,
    /,
    *,
    options: Options = AS_IT_IS,
    form: Annotated[
        Literal["plain", "dense"],
        Parameter(help="dense: fully connected layers as convolutions, for images of any --size."),
    ] = "plain",
    format: Literal["text", "json", "markdown", "svg", "spec"] = "text",
    out: Out = None,
) -> None:
    """A network's layers: shapes, parameters, MACs, memory, receptive fields.

    Args:
        net: A name (`verydeep list`), a run folder, a model's file, or a network's JSON file.
        format: text, json or markdown; svg is a drawing to scale; spec is the network itself.
    """
    if form == "plain":
        network = described(net, options)
    else:
        from verydeep.rewrite.cut import resize  # these need NumPy; a plain table does not
        from verydeep.rewrite.dense import dense

        network = dense(described(net, replace(options, size=None)))
        if options.size is not None:
            network = resize(network, (network.input[0], *pixels(options.size)))
    match format:
        case "text":
            text = table.to_text(network)
        case "json":
            text = json.dumps(table.to_json(network), indent=2)
        case "markdown":
            text = table.to_markdown(network)
        case "svg":
            text = draw(network)
        case "spec":
            text = spec_json.dumps(network, indent=2)
    write_text(text, out)
