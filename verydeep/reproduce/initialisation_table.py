"""Which initial weights let a deep network learn: a row for each way to begin (section 3.1 and its footnote)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from verydeep.benchmark.sections import NONE, Section
from verydeep.record.environment import environment
from verydeep.reproduce.decide import guesses
from verydeep.reproduce.document import Document, conditions, deviation_text, fraction
from verydeep.reproduce.experiments import Start, Started
from verydeep.reproduce.initialisation import initialisation_runs
from verydeep.reproduce.outcome import centre
from verydeep.reproduce.request import Request
from verydeep.run import Run, open_run
from verydeep.settings.recipes import resolve

HEADER = ("run", "network", "initial weights", "what happens", "train loss", "validation top-1", "test top-1")


@dataclass(frozen=True, slots=True)
class Began:
    """What became of a way to begin, seed by seed."""

    start: Start
    losses: tuple[float, ...]  # of training, in the last epoch; nats
    validation: tuple[float, ...]  # top-1 in the last epoch, fractions
    test: tuple[float, ...]  # top-1
    guessing: int  # seeds with which the network tells the classes apart no better than by chance


def starts() -> tuple[Start, ...]:
    """The ways to begin of `initialisation`, each after the one that it grows from."""
    found: dict[str, Start] = {}
    for name, fields in initialisation_runs().items():
        own = {field: value for field, value in fields.items() if field != "grow_from"}
        source = fields.get("grow_from")
        found[name] = Start(name.replace(" ", "-"), resolve(own), None if source is None else found[str(source)])
    return tuple(found.values())


def began(start: Start, request: Request) -> Began:
    """What the finished runs say of a way to begin."""
    runs = [open_run(Started(start, seed).folder(request.out, request.scale)) for seed in range(request.seeds)]
    return Began(
        start,
        losses=tuple(float(run.history[-1]["train_loss"]) for run in runs),
        validation=tuple(float(run.history[-1]["val_top1"]) for run in runs),
        test=tuple(float(run.result["evaluation"]["top1"]) for run in runs),
        guessing=sum(map(_guesses, runs)),
    )


def of_initialisation(found: Sequence[Began], request: Request, *, command: str) -> Document:
    """Every way to begin, and whether it stays at chance."""
    return Document(
        title="Initial weights: which of the networks learn (section 3.1)",
        sections=(Section("Top-1 in percent that is right; loss in nats.", HEADER, 4, [_cells(one) for one in found]),),
        notes=(
            "at chance: the top-1 of the test images is at most two standard deviations above that of guessing; "
            "above it a network may still have learnt little: guessing has a loss of ln 10, 2.303",
            f"mean \N{PLUS-MINUS SIGN} standard deviation, n = {request.seeds} seeds; loss and validation at the end",
            *dict.fromkeys(f"data: {one.start.config.data}, {one.start.config.epochs} epochs" for one in found),
            *conditions(command),
        ),
        record={
            "table": "initialisation",
            "seeds": request.seeds,
            "command": command,
            "machine": environment(),
            "rows": [_record(one) for one in found],
        },
    )


def _cells(one: Began) -> tuple[str, ...]:
    config, source, seeds = one.start.config, one.start.grows_from, len(one.test)
    happens = {0: "above chance", seeds: "at chance"}.get(
        one.guessing, f"at chance with {one.guessing} of {seeds} seeds"
    )
    return (
        one.start.name,
        config.net or config.arch or NONE,
        config.init if source is None else f"grown from {source.name}, the rest {config.init}",
        happens,
        deviation_text(one.losses, digits=3),
        deviation_text([100.0 * value for value in one.validation]),
        deviation_text([100.0 * value for value in one.test]),
    )


def _guesses(run: Run) -> bool:
    evaluation = run.result["evaluation"]
    return guesses(1.0 - float(evaluation["top1"]), images=int(evaluation["count"]), classes=len(run.named()))


def _record(one: Began) -> dict[str, Any]:
    source = one.start.grows_from
    return {
        "run": one.start.name,
        "network": one.start.config.net,
        "init": one.start.config.init,
        "grown_from": None if source is None else source.name,
        "train_loss": list(one.losses),
        "val_top1": [fraction(100.0 * value) for value in one.validation],
        "test_top1": [fraction(100.0 * value) for value in one.test],
        "test_top1_mean": fraction(100.0 * centre(one.test)),
        "at_chance": one.guessing,
    }
