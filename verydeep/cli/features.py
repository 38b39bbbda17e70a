"""`verydeep features`: what the layers of a run's network say of images, as arrays in a file."""

import json
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from verydeep.cli.options import WHOLE, Batch, Device, Engine
from verydeep.cli.output import write_engine, write_text
from verydeep.errors import DataError


def run(
    run: Path,
    /,
    *images: str,
    out: Annotated[Path, Parameter(help="The .npz to write: names, an array for each layer, and a record in JSON.")],
    layers: Annotated[
        str | None, Parameter(help="Names with commas: relu3_3,fc7 [default: the last before the classifier].")
    ] = None,
    scales: Annotated[
        tuple[int, ...] | None,
        WHOLE,
        Parameter(consume_multiple=True, help="Smallest sides Q of the rescaled image [default: the run's own]."),
    ] = None,
    pool: Annotated[Literal["mean", "none"], Parameter(help="Mean over places, or the maps as they are.")] = "mean",
    flip: Annotated[
        bool | None, Parameter(negative="--no-flip", help="Mean with the mirror image [default: if pooled].")
    ] = None,
    combine: Annotated[
        Literal["pooled", "stacked"], Parameter(help="Scales: their mean, or one behind the other.")
    ] = "pooled",
    normalize: Annotated[
        Literal["l2", "none"] | None, Parameter(help="Length of a descriptor: 1, or as it is [default: l2 if pooled].")
    ] = None,
    batch: Batch = 32,
    engine: Engine = "auto",
    device: Device = "auto",
    format: Literal["text", "json"] = "text",
) -> None:
    """Dense multi-scale descriptors of images (appendix B), or the maps of any layers.

    The network is made fully convolutional and sees the whole image, at each scale. Exit code 3 when an image could not
    be read; the others are done all the same.

    Args:
        run: The folder that `verydeep train` wrote, or a model's file.
        images: Files, folders or patterns such as "photos/*.jpg".
        format: Of what is said on the terminal: text or json.
    """
    from verydeep.evaluation.predict import files_of
    from verydeep.run import open_run
    from verydeep.transfer import features_file
    from verydeep.transfer.aggregation import Aggregation
    from verydeep.transfer.descriptors import describe, own_scale

    features_file.refuse_place(out)
    opened = open_run(run)
    names = list(dict.fromkeys(path for source in images for path in files_of(source)))
    if not names:
        raise DataError("no images are given", code="SOURCE-NONE", hint="Name files, folders or patterns as '*.png'.")
    is_pooled = pool == "mean"
    aggregation = Aggregation(
        scales=scales or (own_scale(opened),),
        pool=pool,
        flip=is_pooled if flip is None else flip,
        combine=combine,
        normalize=normalize or ("l2" if is_pooled else "none"),
    )
    wanted = tuple(name.strip() for name in layers.split(",")) if layers is not None else ()
    found = describe(opened, names, layers=wanted, aggregation=aggregation, batch=batch, engine=engine, device=device)
    record = features_file.write(out, found, names=names, run=opened)
    if format == "json":
        write_text(json.dumps({"out": str(out), **record}, indent=2), None)
    else:
        write_engine(found.engine)
        write_text(features_file.to_text(out, record), None)
    if failed := record["unreadable"]:
        raise DataError(
            f"{len(failed)} of {len(names)} images could not be read, the first: {failed[0]['error']}",
            code="IMAGES-UNREADABLE",
            hint="The record in the file names them.",
        )
