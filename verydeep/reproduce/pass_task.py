"""One pass of a test: a run's posteriors of the test images at one scale Q, kept so that averages cost nothing."""

import json
import shlex
from dataclasses import asdict, dataclass, field, fields, replace
from functools import lru_cache, reduce
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np

from verydeep.data.decode import shown
from verydeep.data.draws import bits
from verydeep.data.split import Split, fingerprint, take
from verydeep.durable import disk_errors, make_folder, write_atomic
from verydeep.errors import DataError, VerydeepError, WeightsError
from verydeep.evaluation.ensemble import fuse
from verydeep.evaluation.evaluate import labelled
from verydeep.evaluation.posteriors import Posteriors, posteriors
from verydeep.evaluation.protocol import protocol_for
from verydeep.evaluation.saved import load, save
from verydeep.reproduce.experiments import Pass, Wanted
from verydeep.reproduce.lineage import identity
from verydeep.reproduce.request import Request
from verydeep.run import Run, open_run, read_record

DRAW = 2014  # the seed of the order in which the test images are taken


@dataclass(frozen=True, slots=True)
class Found:
    """What is on disk of a pass."""

    run: str  # `lineage.identity` of the run
    images: int  # the first so many in the order of DRAW
    available: int  # test images in all
    order: str  # the fingerprint of all of them in that order
    seconds: float
    engine: str


def is_done(wanted: Wanted, request: Request) -> bool:
    """Whether the pass is there, of the run and the test images as they are, with as many images as are wanted.

    Where the test images are not here, it stands as it is recorded.
    """
    record, arrays = _files(wanted.one, request)
    folder = wanted.one.training.folder(request.out, request.scale)
    if not record.is_file() or not arrays.is_file():
        return False
    try:
        found = _read(record)
    except WeightsError:
        return False
    if found.images < count(wanted.images, available=found.available) or found.run != identity(folder):
        return False
    return order_of(folder, request) in (None, found.order)


def order_of(folder: Path, request: Request) -> str | None:
    """The fingerprint of the test images as a run's network is tested on them; None where they are not here."""
    try:
        return _order(_Place(request.scale.data, request.data_root, folder))
    except DataError as error:
        if error.code != "DATA-MISSING":
            raise
        return None


def forget() -> None:
    """Look at the test images again: those of the last command may have changed."""
    _test_images.cache_clear()
    _order.cache_clear()


def conduct(wanted: Wanted, request: Request) -> None:
    """Compute the pass and write it.

    Raises:
        ConfigError, DataError, WeightsError, ResourceError: as `verydeep.evaluation.posteriors.posteriors`.
    """
    one = wanted.one
    folder = one.training.folder(request.out, request.scale)
    run = _with_workers(open_run(folder), request)
    whole = _test_images(_Key(run, request.data_root))
    images = take(whole, np.arange(count(wanted.images, available=len(whole))))
    began = monotonic()
    protocol = protocol_for(run, one.kind, scales=(one.side,))
    found = posteriors(run, images, protocol=protocol, device=request.device)
    record, arrays = _files(one, request)
    with disk_errors(record.parent, bytes_needed=found.array.nbytes):
        make_folder(record.parent)
    save(found, arrays)
    facts = Found(
        run=identity(folder),
        images=len(images),
        available=len(whole),
        order=fingerprint(whole),
        seconds=round(monotonic() - began, 3),
        engine=found.engine,
    )
    write_atomic(record, (json.dumps(asdict(facts), indent=2) + "\n").encode())


def fused(passes: tuple[Pass, ...], request: Request, *, images: int | None) -> Posteriors:
    """The average of passes that are there, over the first `images` of the test images."""
    # One after the other: fifty passes of all of ImageNet are more than memory holds.
    return reduce(lambda mean, part: fuse((mean, part)), (_first(one, request, images=images) for one in passes))


def count(images: int | None, *, available: int) -> int:
    """How many images that is."""
    return available if images is None else min(images, available)


def _first(one: Pass, request: Request, *, images: int | None) -> Posteriors:
    record, arrays = _files(one, request)
    facts = _read(record)
    try:
        found = load(arrays)
    except VerydeepError as error:
        error.hint = f"The same command computes it again without it: rm {shlex.quote(str(arrays))}"
        raise
    number = count(images, available=facts.available)
    return replace(found, array=found.array[:number], labels=found.labels[:number], images=f"{number} of {facts.order}")


def _files(one: Pass, request: Request) -> tuple[Path, Path]:
    stem = one.folder(request.out, request.scale) / f"{one.kind}-{one.side}"
    return stem.with_name(f"{stem.name}.json"), stem.with_name(f"{stem.name}.npz")


def _read(record: Path) -> Found:
    """WeightsError where the file is damaged or says something else."""
    facts = read_record(record)
    if facts.keys() != {each.name for each in fields(Found)}:
        raise WeightsError(
            f"{shown(record)} is not the record of a pass",
            code="RUN-DAMAGED",
            hint=f"The same command computes it again without it: rm {shlex.quote(str(record))}",
        )
    return Found(**facts)


def _with_workers(run: Run, request: Request) -> Run:
    """The run, whose images are decoded by as many processes as are asked for."""
    return run if request.workers is None else replace(run, settings=run.config.updated(workers=request.workers))


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the test images are, for which no run has to be opened twice: all of a request share them."""

    data: str
    data_root: Path | None
    run: Path = field(compare=False)  # a folder, whose network says classes and channels


@lru_cache(maxsize=1)
def _order(place: _Place) -> str:
    return fingerprint(_test_images(_Key(open_run(place.run), place.data_root)))


class _Key:
    """A run as far as its test images depend on it: equal keys share them, so that a worker loads them once."""

    def __init__(self, run: Run, data_root: Path | None) -> None:
        self.run, self.data_root = run, data_root
        self._value = (run.config.data, data_root, run.config.data_root, run.preprocessing.channels, run.classes)

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, _Key) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)


@lru_cache(maxsize=1)
def _test_images(key: _Key) -> Split:
    """The test images in the order of DRAW; never validation images, on which runs of other seeds were trained."""
    images = labelled(key.run, data_root=key.data_root)
    keys = bits(DRAW, stream="order", epoch=0, indices=np.arange(len(images)), count=1)[:, 0]
    return take(images, np.argsort(keys, kind="stable"))
