"""`verydeep transfer`: how good a run's features are for another data set."""

import json
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from verydeep.cli.options import WHOLE, Batch, DataRoot, Device, Engine
from verydeep.cli.output import write_text
from verydeep.errors import ConfigError

Count = Annotated[int | None, WHOLE]


def run(
    *runs_and_data: str,
    layer: Annotated[
        str | None,
        Parameter(help="That is read, such as fc7 for what comes before its ReLU [default: the penultimate]."),
    ] = None,
    scales: Annotated[
        tuple[int, ...] | None,
        WHOLE,
        Parameter(
            consume_multiple=True,
            help="Smallest sides Q of the rescaled image [default: the paper's, in 224ths of the network's input].",
        ),
    ] = None,
    combine: Annotated[
        Literal["pooled", "stacked"] | None,
        Parameter(
            help="Scales: their mean, or one behind the other [default: as the paper; VOC pooled, else stacked]."
        ),
    ] = None,
    flip: Annotated[bool, Parameter(negative="--no-flip", help="Mean with the mirror image.")] = True,
    baseline: Annotated[
        tuple[Literal["pixels", "random"], ...],
        Parameter(
            consume_multiple=True,
            show_default=False,
            help="Rows to compare with: pixels, or the net with freshly drawn weights.",
        ),
    ] = (),
    costs: Annotated[
        tuple[float, ...] | None,
        Parameter(consume_multiple=True, help="C of the linear machines, to choose from [default: 0.001 to 1000]."),
    ] = None,
    seed: Annotated[int, WHOLE, Parameter(help="Of partitions, and of the images on which C is chosen.")] = 0,
    partitions: Annotated[
        Count, Parameter(help="Where images are shared out by chance: how often [default: 3].")
    ] = None,
    train_images: Annotated[Count, Parameter(help="Of each class [default: 30; caltech256 60].")] = None,
    test_images: Annotated[Count, Parameter(help="Of each class, at most [default: 50; caltech256 all].")] = None,
    background: Annotated[
        Literal["keep", "drop"], Parameter(help="Caltech's class of backgrounds; the paper keeps it.")
    ] = "keep",
    data_root: DataRoot = None,
    batch: Batch = 32,
    engine: Engine = "auto",
    device: Device = "auto",
    format: Literal["text", "json", "markdown"] = "text",
    out: Annotated[Path | None, Parameter(help="Write the result to this file too, as JSON.")] = None,
) -> None:
    """A linear classifier on the features of runs, fixed as they are, for another data set (appendix B, Table 11).

    Features are dense, multi-scale, mirrored and of length 1; C is chosen on a fifth of the training images. Several
    runs have a row each, and one together. VOC has mean average precision by both rules, other data mean class recall.

    Args:
        runs_and_data: Run folders or models' files, then the data: voc2007, voc2012, caltech101, caltech256, a name in
            `verydeep list data`, or a folder of class folders.
        format: text, json or markdown.
    """
    if len(runs_and_data) < 2:
        raise ConfigError(
            "a run and a data set are needed", code="USAGE", hint="Give them so: verydeep transfer RUN DATA."
        )
    *runs, data = runs_and_data
    from verydeep.transfer import caltech, linear_svm, table
    from verydeep.transfer.experiment import Plan, transfer
    from verydeep.transfer.partitions import shares_of
    from verydeep.transfer.sets import Wishes

    plan = Plan(
        layer=layer,
        scales=scales,
        combine=combine,
        flip=flip,
        baselines=tuple(dict.fromkeys(baseline)),
        seed=seed,
        costs=costs or linear_svm.GRID,
        batch=batch,
        engine=engine,
        device=device,
    )
    usual = caltech.COLLECTIONS[data].shares if data in caltech.COLLECTIONS else None
    shares = shares_of(usual, partitions=partitions, train=train_images, test=test_images)
    wishes = Wishes(data_root=data_root, shares=shares, background=background, seed=seed)
    found = transfer(runs, data, plan=plan, wishes=wishes)
    record = json.dumps(table.to_json(found), indent=2)
    if out is not None:
        write_text(record, out)
    match format:
        case "text":
            write_text(table.to_text(found), None)
        case "markdown":
            write_text(table.to_markdown(found), None)
        case "json":
            write_text(record, None)
