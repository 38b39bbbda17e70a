"""The part of an epoch's batches that this process computes, from images on the GPU where they fit."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

from verydeep.data.batches import Batch, batches
from verydeep.data.resident import Resident, is_simple, resident_batches
from verydeep.data.resident import resident as on_device
from verydeep.data.split import MemorySplit
from verydeep.training.prepare import Prepared


def held(prepared: Prepared) -> Resident | None:
    """The training images on the GPU, where they fit and where it can make the batches."""
    train, preprocessing, augment = prepared.train, prepared.preprocessing, prepared.augment
    device = prepared.processes.device
    if device.type != "cuda" or not isinstance(train, MemorySplit):
        return None
    if not is_simple(train, preprocessing=preprocessing, augment=augment):
        return None
    return on_device(train, preprocessing=preprocessing, augment=augment, device=device)


@contextmanager
def shares(
    prepared: Prepared, *, epoch: int, start: int = 0, resident: Resident | None = None
) -> Iterator[Iterator[Batch]]:
    """This process's batches of an epoch from number `start` on, of the images that are `held` or else of the set."""
    config, processes = prepared.config, prepared.processes
    if resident is not None:
        yield resident_batches(
            resident,
            batch=config.batch,
            seed=config.seed,
            epoch=epoch,
            start=start,
            rank=processes.rank,
            world=processes.world,
        )
        return
    found = batches(
        prepared.train,
        preprocessing=prepared.preprocessing,
        augment=prepared.augment,
        batch=config.batch,
        seed=config.seed,
        epoch=epoch,
        start=start,
        rank=processes.rank,
        world=processes.world,
        workers=config.workers,
    )
    with closing(found):  # type: ignore[type-var]
        yield found
