"""`verydeep predict`: what a run's network sees in images."""

import json
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from verydeep.cli.options import WHOLE, Batch, Engine, Out
from verydeep.cli.output import write_engine, write_text
from verydeep.errors import DataError


def run(
    run: Path,
    /,
    *images: str,
    top: Annotated[int, WHOLE, Parameter(help="Classes for each image.")] = 5,
    batch: Batch = 32,
    engine: Engine = "auto",
    format: Literal["text", "json", "csv"] = "text",
    out: Out = None,
) -> None:
    """What a run's network sees in images: the classes with the highest probabilities.

    Exit code 3 when an image could not be read; the others are done all the same.

    Args:
        run: The folder that `verydeep train` wrote, or a model's file.
        images: Files, folders or patterns such as "photos/*.jpg".
        format: text, json or csv.
    """
    from verydeep.engine.choose import choose
    from verydeep.evaluation import predict
    from verydeep.run import open_run

    choice = choose(engine)
    found = predict.predict(open_run(run), images, batch=batch, top=top, engine=choice.engine)
    if format != "json":
        write_engine(choice.name, reason=choice.reason)
    match format:
        case "text":
            text = predict.to_text(found)
        case "json":
            text = json.dumps({"engine": choice.name, **predict.to_json(found)}, indent=2)
        case "csv":
            text = predict.to_csv(found)
    write_text(text, out)
    failed = [prediction for prediction in found if prediction.error]
    if failed:
        raise DataError(
            f"{len(failed)} of {len(found)} images could not be read, the first: {failed[0].error}",
            code="IMAGES-UNREADABLE",
            hint="They are marked in the output.",
        )
