"""One pass of a test: a run's posteriors of the test images at one scale Q, kept so that averages cost nothing."""

import json
import shlex
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np

from verydeep.data.draws import bits
from verydeep.data.split import Split, fingerprint, take
from verydeep.durable import disk_errors, make_folder, write_atomic
from verydeep.errors import VerydeepError
from verydeep.evaluation.ensemble import fuse
from verydeep.evaluation.evaluate import unseen
from verydeep.evaluation.posteriors import Posteriors, posteriors
from verydeep.evaluation.protocol import protocol_for
from verydeep.evaluation.saved import load, save
from verydeep.reproduce.experiments import Pass, Wanted
from verydeep.reproduce.request import Request
from verydeep.reproduce.training_task import identity
from verydeep.run import Run, open_run, read_record

DRAW = 2014  # the seed of the order in which the test images are taken


@dataclass(frozen=True, slots=True)
class Found:
    """What is on disk of a pass."""

    run: str  # `training_task.identity` of the run
    images: int  # the first so many in the order of DRAW
    available: int  # test images in all
    order: str  # the fingerprint of all of them in that order
    seconds: float
    engine: str


def is_done(wanted: Wanted, request: Request) -> bool:
    """Whether the pass is there, of the run as it is, with as many images as are wanted."""
    record, arrays = _files(wanted.one, request)
    folder = wanted.one.training.folder(request.out, request.scale)
    if not record.is_file() or not arrays.is_file():
        return False
    found = _read(record)
    return found.images >= count(wanted.images, available=found.available) and found.run == identity(folder)


def conduct(wanted: Wanted, request: Request) -> None:
    """Compute the pass and write it.

    Raises:
        ConfigError, DataError, WeightsError, ResourceError: as `verydeep.evaluation.posteriors.posteriors`.
    """
    one = wanted.one
    folder = one.training.folder(request.out, request.scale)
    run = open_run(folder)
    whole = _test_images(_Key(run, request.data_root))
    images = take(whole, np.arange(count(wanted.images, available=len(whole))))
    began = monotonic()
    protocol = protocol_for(run, one.kind, scales=(one.side,))
    found = posteriors(run, images, protocol, device=request.device)
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
    return fuse([_first(one, request, images=images) for one in passes])


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
    return Found(**read_record(record))


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
    """The test images in the order of DRAW; validation images in their place where there are none."""
    images, _ = unseen(key.run, data_root=key.data_root)
    keys = bits(DRAW, stream="order", epoch=0, indices=np.arange(len(images)), count=1)[:, 0]
    return take(images, np.argsort(keys, kind="stable"))
