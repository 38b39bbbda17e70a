"""`verydeep localise`: train a network that says where the object is, measure it, and ask it."""

import json
import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from verydeep.cli.options import WHOLE, DataRoot, Device, Engine, Out
from verydeep.cli.output import write_engine, write_text
from verydeep.errors import DataError

run = App(name="localise", help="Where the object is: train a localiser, measure it, ask it.")

BadBoxes = Annotated[
    Literal["refuse", "skip"], Parameter(help="What to do with objects whose box, size of image or class cannot be.")
]
Scales = Annotated[
    tuple[int, ...],
    WHOLE,
    Parameter(
        help="Smallest sides Q of protocol 2 [default: the classifier's].", consume_multiple=True, show_default=False
    ),
]
Classifier = Annotated[
    Path | None, Parameter(help="The run that rates boxes [default: the one that the localiser was made from].")
]


@run.command(sort_key=0)
def train(
    classifier: Path,
    data: str = "synthetic",
    /,
    *,
    out: Annotated[Path, Parameter(help="The folder of the localiser, new or empty.")],
    boxes: Annotated[
        Literal["single-class", "per-class"], Parameter(help="One box for all classes (SCR), or one for each (PCR).")
    ] = "per-class",
    tune: Annotated[
        Literal["fc", "all"], Parameter(help="What learns: fc6, fc7 and the new last layer, or all layers.")
    ] = "all",
    epochs: Annotated[int, WHOLE, Parameter(help="Passes over the training images.")] = 10,
    batch: Annotated[int, WHOLE, Parameter(help="Images of one step.")] = 256,
    lr: Annotated[float, Parameter(help="Learning rate at the start.")] = 1e-3,
    momentum: Annotated[float, Parameter(help="Of SGD.")] = 0.9,
    weight_decay: Annotated[float, Parameter(help="L2 multiplier.")] = 5e-4,
    schedule: Annotated[Literal["constant", "cosine"], Parameter(help="How the learning rate changes.")] = "cosine",
    clip: Annotated[float, Parameter(help="Largest norm of the gradient; 0: unlimited.")] = 0.0,
    scale: Annotated[
        tuple[int, int] | None,
        WHOLE,
        Parameter(help="Smallest side S, drawn from LOW HIGH [default: as the classifier was trained]."),
    ] = None,
    flip: Annotated[
        Literal["as-classifier", "always", "never"], Parameter(help="Whether half of the training images are mirrored.")
    ] = "as-classifier",
    val: Annotated[float, Parameter(help="Share of the training images held out for validation.")] = 0.1,
    seed: Annotated[int, WHOLE, Parameter(help="Of everything drawn at random.")] = 0,
    data_root: DataRoot = None,
    bad_boxes: BadBoxes = "refuse",
    device: Device = "auto",
) -> None:
    """Train a localiser that begins with a classifier's weights; leaves a folder.

    Args:
        classifier: The folder that `verydeep train` wrote, or a model's file.
        data: Images with boxes: synthetic, voc2007, voc2012 or imagenet.
    """
    from verydeep.localise.load import load_annotated
    from verydeep.localise.train import train_localiser
    from verydeep.localise.tuning import Tuning
    from verydeep.run import open_run

    tuning = Tuning(
        boxes=boxes,
        tune=tune,
        epochs=epochs,
        batch=batch,
        lr=lr,
        momentum=momentum,
        weight_decay=weight_decay,
        schedule=schedule,
        clip=clip,
        scale=scale,
        flip=flip,
        val=val,
        seed=seed,
    )
    opened = open_run(classifier)
    images = load_annotated(data, split="train", root=data_root, bad_boxes=bad_boxes)
    _say_left_out(images.left_out)
    found = train_localiser(opened, images, tuning=tuning, out=out, device=device, say=_say)
    _say(f"{found.network.name} in {out}; look at it with: verydeep localise evaluate {out} {data}")


@run.command(sort_key=1)
def evaluate(
    localiser: Path,
    data: str = "synthetic",
    /,
    *,
    protocol: Annotated[
        Literal["1", "2"], Parameter(help="1: centre crop, true class; 2: dense boxes, merged, and five guesses.")
    ] = "1",
    classifier: Classifier = None,
    fuse: Annotated[
        tuple[Path, ...],
        Parameter(
            help="More localisers whose boxes are joined (protocol 2).", consume_multiple=True, show_default=False
        ),
    ] = (),
    scales: Scales = (),
    split: Annotated[Literal["test", "train"], Parameter(help="Which images.")] = "test",
    data_root: DataRoot = None,
    bad_boxes: BadBoxes = "refuse",
    device: Device = "auto",
    engine: Engine = "auto",
    format: Annotated[Literal["text", "json", "markdown"], Parameter(help="text, json or markdown.")] = "text",
    out: Out = None,
) -> None:
    """The localisation error on a data set with boxes: the true class given, and with five guesses.

    Args:
        localiser: The folder that `verydeep localise train` wrote.
        data: Images with boxes: synthetic, voc2007, voc2012 or imagenet.
    """
    from verydeep.localise.evaluate import evaluate_localisers, refuse_options, to_text
    from verydeep.localise.load import load_annotated
    from verydeep.localise.localiser import open_localiser
    from verydeep.run import open_run

    opened = [open_localiser(place) for place in (localiser, *fuse)]
    rater = None if classifier is None else open_run(classifier)
    number: Literal[1, 2] = 1 if protocol == "1" else 2
    refuse_options(opened, protocol=number, classifier=rater, scales=scales)
    images = load_annotated(data, split=split, root=data_root, bad_boxes=bad_boxes)
    _say_left_out(images.left_out)
    found = evaluate_localisers(
        opened,
        images,
        protocol=number,
        classifier=rater,
        scales=scales,
        device=device,
        engine=engine,
    )
    write_text(json.dumps(found.to_json(), indent=2) if format == "json" else to_text(found, form=format), out)


@run.command(sort_key=2)
def predict(
    localiser: Path,
    /,
    *images: str,
    classifier: Classifier = None,
    fuse: Annotated[
        tuple[Path, ...],
        Parameter(help="More localisers whose boxes are joined.", consume_multiple=True, show_default=False),
    ] = (),
    scales: Scales = (),
    top: Annotated[int, WHOLE, Parameter(help="Classes for each image, with a box each.")] = 1,
    device: Device = "auto",
    engine: Engine = "auto",
    format: Annotated[Literal["text", "json", "csv"], Parameter(help="text, json or csv.")] = "text",
    out: Out = None,
) -> None:
    """What is in images, and where: classes with a box each, corners in pixels.

    Exit code 3 when an image could not be read; the others are done all the same.

    Args:
        localiser: The folder that `verydeep localise train` wrote.
        images: Files, folders or patterns such as "photos/*.jpg".
    """
    from verydeep.engine.choose import choose
    from verydeep.localise.evaluate import classifier_of
    from verydeep.localise.localiser import open_localiser
    from verydeep.localise.predict import locate, to_csv, to_json, to_text
    from verydeep.processes import joined
    from verydeep.run import open_run

    opened = [open_localiser(place) for place in (localiser, *fuse)]
    rater = classifier_of(opened[0]) if classifier is None else open_run(classifier)
    with joined(device) as processes:
        choice = choose(engine, device=processes.device)
        found = locate(opened, rater, images, scales=scales, top=top, device=processes.device, engine=choice.engine)
    classes = rater.named()
    if format != "json":
        write_engine(choice.name, reason=choice.reason)
    match format:
        case "text":
            text = to_text(found, classes=classes)
        case "json":
            text = json.dumps({"engine": choice.name, **to_json(found, classes=classes)}, indent=2)
        case "csv":
            text = to_csv(found, classes=classes)
    write_text(text, out)
    failed = [one for one in found if one.error is not None]
    if failed:
        raise DataError(
            f"{len(failed)} of {len(found)} images could not be read, the first: {failed[0].error}",
            code="IMAGES-UNREADABLE",
            hint="They are marked in the output.",
        )


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _say_left_out(count: int) -> None:
    if count:
        _say(f"warning: {count:,} objects that cannot be used are left out")
