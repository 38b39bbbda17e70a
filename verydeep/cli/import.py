"""`verydeep import`: weights from anywhere become a model's file."""

# ruff: noqa: N999 - the verb's own name, though Python's grammar has it too; modules of verbs are found by name

import json
import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from verydeep.cli.described import AS_IT_IS, described
from verydeep.cli.options import WHOLE
from verydeep.errors import ConfigError
from verydeep.report import grid
from verydeep.report.table import summary
from verydeep.report.words import sizes

SHOWN = 5  # class names
MOST_NAME = 100  # letters of the default file's name


def run(
    file: Path,
    /,
    *,
    net: Annotated[
        str | None, Parameter(help="The network: a name or a file [default: the one that the weights fit].")
    ] = None,
    num_classes: Annotated[int | None, WHOLE, Parameter(help="Outputs of a new last layer, to be trained.")] = None,
    preprocessing: Annotated[
        str | None, Parameter(help="How images become input: torchvision, timm, keras, caffe ..., or a JSON file.")
    ] = None,
    classes: Annotated[Path | None, Parameter(help="Text file with the name of a class in each line.")] = None,
    format: Literal["text", "json"] = "text",
    out: Annotated[Path | None, Parameter(help="The model's file, a new one [default: NET.safetensors].")] = None,
) -> None:
    """Make weights from anywhere a model's file, with network, preprocessing and class names inside; prints them.

    Weights of torchvision, timm, Keras, Flax, Caffe, MatConvNet, MXNet and our own are told apart by content. What
    does not fit is refused whole; where nothing tells the preprocessing, --preprocessing is needed.

    "verified: matches reference" means that the file is known by its SHA-256, and that its network gave the logits for
    a test image that the file's own program gives. "unverified" means that nobody has stored any for this file, or
    that its last layer or preprocessing was replaced.

    Args:
        file: Weights of any known origin.
        format: text or json: how what was found is printed.
    """
    from verydeep.evaluation.references import is_verified
    from verydeep.weights import canonical
    from verydeep.weights.complete import classes_of, preprocessing_of
    from verydeep.weights.importing import import_weights

    found = import_weights(file, None if net is None else described(net, AS_IT_IS), classes=num_classes)
    place = out if out is not None else Path(f"{_slug(found.network.name)}.safetensors")
    if os.path.lexists(place):
        raise ConfigError(f"{place} is there already", code="OUT-TAKEN", hint="Choose another file with --out.")
    record, names = preprocessing_of(found, preprocessing), classes_of(found, classes)
    verified = record == found.preprocessing and is_verified(file, found)
    canonical.save(
        place,
        network=found.network,
        weights=found.weights,
        preprocessing=record.to_json(),
        classes=names,
        extra={"imported": {"file": file.name, "format": found.format}},
    )
    told = {
        "format": found.format,
        "network": found.network.name,
        "params": summary(found.network).params,
        "preprocessing": record.to_json(),
        "classes": list(names),
        "notes": list(found.notes),
        "verified": verified,
        "model": str(place),
    }
    print(json.dumps(told, indent=2) if format == "json" else _text(told, outputs=found.network.classes))


def _slug(name: str) -> str:
    """What of a network's name, which may be a stranger's, can name a file here that is not hidden and no option."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", name)[:MOST_NAME].lstrip("._-") or "model"


def _text(told: dict[str, Any], *, outputs: int) -> str:
    """What was found, a line for each thing."""
    record, names = told["preprocessing"], told["classes"]
    more = ", ..." if len(names) > SHOWN else ""
    rescaled = "as it is" if record["resize"] is None else f"smaller side to {record['resize']} pixels, bilinear"
    rows = [
        ("format", told["format"]),
        ("network", f"{told['network']}, {told['params']:,} parameters"),
        ("colours", f"{record['color']}, 0 to 255"),
        ("mean", ", ".join(f"{value:.6g}" for value in record["mean"])),
        ("deviation", ", ".join(f"{value:.6g}" for value in record["std"])),
        ("resize", rescaled),
        ("crop", f"{record['crop']}, {sizes(tuple(record['size']))}"),
        ("classes", f"{outputs:,}: {', '.join(names[:SHOWN])}{more}" if names else f"{outputs:,}, names unknown"),
        *(("note", note) for note in told["notes"]),
        ("check", "verified: matches reference" if told["verified"] else "unverified"),
        ("model", told["model"]),
    ]
    return grid.plain(("what", "found"), rows, align=("left", "left"))
