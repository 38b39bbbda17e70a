"""`verydeep bench`: engines side by side, in turn; training steps; the paper's protocols."""

import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from verydeep.cli.options import FLAG, WHOLE
from verydeep.errors import ConfigError

NET = "D"
ENGINES = (
    "verydeep, torch, torch-channels-last, torch-compile, onnxruntime, openvino, ncnn"  # importing them takes time
)


def run(
    net: str | None = None,
    /,
    *,
    engines: Annotated[str | None, Parameter(help=f"{ENGINES}; with commas [default: all that can run here].")] = None,
    batch: Annotated[str | None, Parameter(help="Images of a call, with commas: 1,8 [default: 1].")] = None,
    size: Annotated[
        str | None, Parameter(help="Pixels, with commas: 224,512x384 (HEIGHTxWIDTH) [default: NET's own].")
    ] = None,
    threads: Annotated[int | None, WHOLE, Parameter(help="Of each engine [default: the processors].")] = None,
    precision: Annotated[
        str | None, Parameter(help="float32, bf16, int8, or some with commas [default: float32].")
    ] = None,
    calls: Annotated[int | None, WHOLE, Parameter(help="Timed calls of each [default: 20; protocols 5].")] = None,
    seed: Annotated[int, WHOLE, Parameter(help="Of images and initial weights.")] = 0,
    training: Annotated[bool, FLAG, Parameter(help="Measure training steps: our loop beside plain PyTorch.")] = False,
    recipe: Annotated[
        str | None,
        Parameter(
            help="For --training: recipes with commas, or all; what is not given comes from them [default: fashion]."
        ),
    ] = None,
    protocols: Annotated[
        bool, FLAG, Parameter(help="Measure dense evaluation beside 150 crops, and features beside the cut network.")
    ] = False,
    tap: Annotated[
        str | None, Parameter(help="For --protocols: the layer whose features are read [default: relu3_3].")
    ] = None,
    format: Literal["text", "json", "markdown"] = "text",
    out: Annotated[Path | None, Parameter(help="Folder for bench.json, bench.md and bench.svg.")] = None,
) -> None:
    """How fast engines compute a network here: ours, PyTorch, onnxruntime, OpenVINO, ncnn, beside their errors.

    Each engine is a process of its own. All are built first and then called in turn, so that what slows the machine
    slows all of them: believe ratios rather than times.

    Args:
        net: A network's name, which gets initial weights; a run folder, or a model's file [default: D]. With --training
            a network's name only [default: the recipe's own].
        format: text, json or markdown.
    """
    from verydeep.benchmark import asked, documents
    from verydeep.training.signals import stopping

    documents.refuse_file(out)
    batches = () if batch is None else asked.counts(batch, option="--batch")
    areas = () if size is None else asked.sizes(size)
    kinds = () if precision is None else asked.words(precision)
    _refuse_mixture(
        training=training,
        protocols=protocols,
        engines=engines,
        size=size,
        precision=precision,
        recipe=recipe,
        tap=tap,
    )
    shared: dict[str, Any] = {"threads": threads, "say": _say} | ({} if calls is None else {"calls": calls})
    with stopping() as stop:
        stop.hint = "Nothing was written."
        if training:
            from verydeep.benchmark.training import bench_training

            given = {
                "batch": asked.at_most_one(batches, option="--batch"),
                "size": _square(asked.at_most_one(areas, option="--size")),
                "precision": asked.at_most_one(kinds, option="--precision"),
            }
            settings = {name: value for name, value in given.items() if value is not None}
            if recipe is not None:
                settings["recipes"] = () if recipe == "all" else asked.words(recipe)
            found = bench_training(net, seed=seed, **shared, **settings)
        elif protocols:
            from verydeep.benchmark.protocols import bench_protocols

            named = None if engines is None else asked.words(engines)
            images = asked.at_most_one(batches, option="--batch") or 1
            asked_for = shared if tap is None else {**shared, "tap": tap}
            found = bench_protocols(net or NET, engines=named, batch=images, seed=seed, **asked_for)
        else:
            from verydeep.benchmark.bench import bench

            found = bench(
                net or NET,
                engines=None if engines is None else asked.words(engines),
                precisions=kinds or ("float32",),
                batches=batches or (1,),
                sizes=areas or None,
                seed=seed,
                **shared,
            )
    _say("")
    found = replace(found, around=replace(found.around, command=shlex.join(["verydeep", *sys.argv[1:]])))
    if out is not None:
        documents.write(found, out)
    print(documents.text(found, format=format))


def _refuse_mixture(*, training: bool, protocols: bool, **given: str | None) -> None:
    """ConfigError for options that belong to another kind of benchmark than the one that is asked for."""
    kinds = [name for name, is_given in (("training", training), ("protocols", protocols)) if is_given]
    foreign = {"training": ("engines", "tap"), "protocols": ("size", "precision", "recipe")}
    wrong = [*kinds[1:], *(name for name in foreign.get(kinds[0], ()) if given[name] is not None)] if kinds else []
    if wrong:
        raise ConfigError(
            f"--{kinds[0]} and --{wrong[0]} do not go together", code="OPTIONS-DISAGREE", hint="Give one of them."
        )
    for option, kind in (("recipe", "training"), ("tap", "protocols")):
        if given[option] is not None and not kinds:
            raise ConfigError(f"--{option} is for --{kind}", code="OPTIONS-DISAGREE", hint=f"Give --{kind} too.")


def _square(size: tuple[int, int] | None) -> int | None:
    """The side of the square on which a network is trained."""
    if size is not None and size[0] != size[1]:
        raise ConfigError(f"--training takes squares, not {size[0]}x{size[1]}", code="OPTION-VALUE")
    return None if size is None else size[0]


def _say(what: str) -> None:
    """One line on a terminal, which the next one replaces."""
    if sys.stderr.isatty():
        print(f"\r\033[K{what}", end="", file=sys.stderr, flush=True)
