"""Decoding files in worker processes: a worker is told paths and draws, and knows nothing else."""

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from verydeep.data.augment import Augment, augment_image
from verydeep.data.decode import decode, shown
from verydeep.data.geometry import to_nchw
from verydeep.data.preprocess import fit
from verydeep.errors import DataError, WorkerError
from verydeep.preprocessing import Preprocessing

TIMEOUT_SECONDS = 60  # a worker that is silent for longer hangs: PyTorch's default would wait for ever


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """One image to read, and the draws that change it (ignored without augmentation)."""

    path: str
    draw: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Failure:
    """A DataError on its way out of a worker, as plain words: PyTorch would wrap the exception in a traceback."""

    message: str
    code: str
    hint: str


class Reader(Dataset[Tensor]):
    """Turns the jobs of one batch into uint8 [n, c, h, w]; holds no state that grows."""

    def __init__(self, preprocessing: Preprocessing, augment: Augment | None) -> None:
        self.preprocessing = preprocessing
        self.augment = augment

    def __getitems__(self, jobs: list[Job]) -> Tensor | Failure:  # the name under which DataLoader fetches a batch
        """The batch, or why it cannot be read."""
        if not jobs:
            return torch.empty((0, self.preprocessing.channels, *self.preprocessing.size), dtype=torch.uint8)
        try:
            images = [self._image(job) for job in jobs]
        except DataError as error:
            return Failure(error.message, error.code, error.hint)
        if len({image.shape for image in images}) > 1:
            message = f"images of different sizes cannot be one batch, such as {shown(jobs[0].path)}"
            return Failure(message, "DATA-SHAPES", 'Use batch=1 with crop="none".')
        return torch.from_numpy(to_nchw(images))

    def _image(self, job: Job) -> NDArray[np.uint8]:
        image = decode(job.path, channels=self.preprocessing.channels)
        if self.augment is None:
            return fit(image, self.preprocessing)
        return augment_image(image, augment=self.augment, preprocessing=self.preprocessing, draw=job.draw)


def read(batches: Iterable[list[Job]], *, reader: Reader, workers: int) -> Iterator[NDArray[np.uint8]]:
    """The images of each batch of jobs in order, uint8 [n, c, h, w]; the same bytes for any number of workers."""
    results = _read_here(batches, reader) if workers == 0 else _read_in_workers(batches, reader, workers=workers)
    with closing(results):  # ends the workers at once, also when the batches are not read to the end
        for result in results:
            if isinstance(result, Failure):
                raise DataError(result.message, code=result.code, hint=result.hint)
            yield result.numpy()


def _read_here(batches: Iterable[list[Job]], reader: Reader) -> Generator[Tensor | Failure]:
    return (reader.__getitems__(jobs) for jobs in batches)


def _read_in_workers(batches: Iterable[list[Job]], reader: Reader, *, workers: int) -> Generator[Tensor | Failure]:
    """The same through DataLoader; a worker that dies or hangs raises WorkerError naming the batch it had."""
    waiting: deque[list[Job]] = deque()

    def handed_out() -> Iterator[list[Job]]:
        for jobs in batches:
            waiting.append(jobs)
            yield jobs

    loader = DataLoader(
        reader,
        batch_sampler=handed_out(),  # pyright: ignore[reportArgumentType]  (jobs take the place of indices)
        collate_fn=_as_it_is,  # pyright: ignore[reportArgumentType]  (the reader has already made the batch)
        num_workers=workers,
        timeout=TIMEOUT_SECONDS,
        persistent_workers=False,
        generator=torch.Generator(),  # or DataLoader would move the global random numbers, dropout's among them
    )
    iterator = iter(loader)
    try:
        while True:
            yield next(iterator)
            waiting.popleft()
    except StopIteration:
        return
    except RuntimeError as error:
        lines = str(error).split("\n")
        raise WorkerError(
            f"a data loader worker failed{_named(waiting)}: {lines[0]} {lines[-1] if lines[1:] else ''}",
            code="LOADER-WORKER",
            hint="Check the disk and the memory, or use fewer workers (0 reads in the main process).",
        ) from error
    finally:
        _stop(iterator)


def _stop(iterator: Any) -> None:
    """End the workers for certain: one that hangs ignores the polite signal, and Python's own end would wait for it."""
    iterator._shutdown_workers()
    for worker in iterator._workers:
        worker.kill()


def _named(waiting: deque[list[Job]]) -> str:
    """Which files the batch held that was being waited for."""
    if not waiting or not waiting[0]:
        return ""
    first, last = waiting[0][0].path, waiting[0][-1].path
    return f" while reading a batch of {len(waiting[0])} images, first {shown(first)}, last {shown(last)}"


def _as_it_is(batch: Tensor | Failure) -> Tensor | Failure:
    return batch
