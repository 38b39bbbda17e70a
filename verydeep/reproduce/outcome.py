"""From passes to a table's numbers: errors in percent for each seed, their mean and spread; and the tested claims."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, stdev

import numpy as np
from numpy.typing import NDArray

from verydeep.evaluation.ensemble import named, refuse_other_images
from verydeep.evaluation.metrics import top_k
from verydeep.evaluation.posteriors import Posteriors
from verydeep.evaluation.protocol import CROPS
from verydeep.reproduce import decide, pass_task
from verydeep.reproduce.claims import MARGIN, Claim
from verydeep.reproduce.decide import Difference, Verdict
from verydeep.reproduce.declared import Experiment
from verydeep.reproduce.experiments import passes
from verydeep.reproduce.published import Row, Table
from verydeep.reproduce.request import Request


@dataclass(frozen=True, slots=True)
class Errors:
    """Top-1 and top-5 errors in percent, one of each seed."""

    top1: tuple[float, ...]
    top5: tuple[float, ...]
    images: int


@dataclass(frozen=True, slots=True)
class Ours:
    """A row of a table: the paper's, and what was found here."""

    row: Row
    errors: Errors | None  # None: not trained here


@dataclass(frozen=True, slots=True)
class Finding:
    """A claim and what the seeds say of it; errors in percent, differences in percentage points."""

    claim: Claim
    worse: tuple[float, ...]  # error of each seed
    better: tuple[float, ...]
    images: int
    over_seeds: Difference
    over_images: Difference
    guessing: tuple[int, ...]  # seeds with which one of them tells the classes apart no better than by chance
    verdict: Verdict

    @property
    def differences(self) -> tuple[float, ...]:
        """What `better` gains with each seed."""
        return tuple(worse - better for worse, better in zip(self.worse, self.better, strict=True))


def images_of(tests: Sequence[Experiment], request: Request) -> int | None:
    """The test images of experiments that stand side by side: fewer where crops are among them."""
    has_crops = any(tested.kind in CROPS for tested in tests)
    return request.scale.crop_images if has_crops else request.scale.test_images


def table_tests(table: Table, request: Request) -> list[tuple[Experiment, int | None]]:
    """What a table tests, and on how many images."""
    tests = [row.tested for row in table.rows if row.tested is not None]
    images = images_of(tests, request)
    return [(tested, images) for tested in tests]


def claim_tests(claims: Sequence[Claim], request: Request) -> list[tuple[Experiment, int | None]]:
    """What the claims test, and on how many images."""
    return [
        (tested, images_of((*claim.worse, claim.better), request))
        for claim in claims
        for tested in (*claim.worse, claim.better)
    ]


def measured(table: Table, request: Request) -> list[Ours]:
    """Every row of a table, computed from passes that are there; ConfigError unless all are of the same images."""
    images, same = dict(table_tests(table, request)), _SameImages()
    return [
        Ours(row, None if row.tested is None else _errors(row.tested, request, images=images[row.tested], same=same))
        for row in table.rows
    ]


def judged(claim: Claim, request: Request) -> Finding:
    """A claim, tested on passes that are there; ConfigError unless all are of the same images."""
    images = images_of((*claim.worse, claim.better), request)
    gained: list[NDArray[np.float64]] = []
    worse_errors: list[float] = []
    better_errors: list[float] = []
    guessing: list[int] = []
    same = _SameImages()
    for seed in range(request.seeds):
        rivals = [_posteriors(tested, request, seed=seed, images=images) for tested in claim.worse]
        best = _posteriors(claim.better, request, seed=seed, images=images)
        for found in (*rivals, best):
            same.refuse_others(found)
        worse = min(map(_wrong, rivals), key=lambda wrong: float(wrong.mean()))
        better = _wrong(best)
        if any(map(_guesses, (*rivals, best))):
            guessing.append(seed)
        gained.append(100.0 * (worse - better))
        worse_errors.append(100.0 * float(worse.mean()))
        better_errors.append(100.0 * float(better.mean()))
    seeds = decide.over_seeds([float(each.mean()) for each in gained])
    images_too = decide.over_images(np.mean(gained, axis=0))
    intervals = (seeds, images_too)
    verdict = decide.gains(*intervals) if claim.says == "gains" else decide.does_not_gain(*intervals, margin=MARGIN)
    return Finding(
        claim=claim,
        worse=tuple(worse_errors),
        better=tuple(better_errors),
        images=len(gained[0]),
        over_seeds=seeds,
        over_images=images_too,
        guessing=tuple(guessing),
        verdict="undecided" if guessing else verdict,
    )


def centre(values: Sequence[float]) -> float:
    """The mean over seeds."""
    return mean(values)


def spread(values: Sequence[float]) -> float:
    """The standard deviation over seeds; NaN of a single one."""
    return stdev(values) if len(values) > 1 else math.nan


class _SameImages:
    """Remembers of which images the first posteriors are, so that others beside them are refused."""

    def __init__(self) -> None:
        self._first: tuple[str, str] | None = None  # images and runs; not the posteriors, which may be large

    def refuse_others(self, found: Posteriors) -> None:
        """ConfigError, code FUSE-IMAGES, unless these are of the images of the first."""
        images, runs = self._first = self._first or (found.images, named(found))
        refuse_other_images(images, found.images, of=runs, beside=named(found))


def _errors(tested: Experiment, request: Request, *, images: int | None, same: _SameImages) -> Errors:
    found = [_posteriors(tested, request, seed=seed, images=images) for seed in range(request.seeds)]
    for each in found:
        same.refuse_others(each)
    return Errors(
        top1=tuple(100.0 * (1.0 - top_k(each.array, each.labels, k=1)) for each in found),
        top5=tuple(100.0 * (1.0 - top_k(each.array, each.labels, k=5)) for each in found),
        images=len(found[0].labels),
    )


def _posteriors(tested: Experiment, request: Request, *, seed: int, images: int | None) -> Posteriors:
    return pass_task.fused(passes(tested, seed=seed, scale=request.scale), request, images=images)


def _wrong(found: Posteriors) -> NDArray[np.float64]:
    """1 for each image whose class is not the first, else 0."""
    return (found.array.argmax(axis=1) != found.labels).astype(np.float64)


def _guesses(found: Posteriors) -> bool:
    error = float(_wrong(found).mean())
    return decide.guesses(error, images=len(found.labels), classes=len(found.classes))
