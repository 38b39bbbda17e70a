"""The accuracy of a run on a data set, by one of the paper's protocols (arXiv:1409.1556, section 3.2)."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from verydeep.data import catalog
from verydeep.data.check import refuse_unreadable, usable
from verydeep.data.folder import TEST_FOLDERS
from verydeep.data.split import Split, fingerprint, hold_out, map_classes, with_channels
from verydeep.engine.choice import EngineName
from verydeep.engine.choose import choose, ready
from verydeep.errors import ConfigError, DataError
from verydeep.evaluation import saved
from verydeep.evaluation.ensemble import fuse as fused
from verydeep.evaluation.ensemble import named, refuse_other_classes, refuse_other_images, refuse_twice
from verydeep.evaluation.metrics import Evaluation, Member, measure
from verydeep.evaluation.posteriors import Posteriors, member_of, share_of
from verydeep.evaluation.protocol import Protocol, protocol_for
from verydeep.evaluation.room import MEMORY, refuse_below_one, room_for
from verydeep.evaluation.scores import scores_of
from verydeep.processes import joined, speaks
from verydeep.run import Run, open_run
from verydeep.settings.config import Config

SplitName: TypeAlias = Literal["test", "validation", "train"]


@dataclass(frozen=True, slots=True, eq=False)
class Logits:
    """A network's scores (n, classes), and the engine that computed them."""

    array: npt.NDArray[np.float32]
    engine: str


def evaluate(
    run: Run | Posteriors | str | Path,
    data: str | Path | None = None,
    *,
    protocol: str = "center",
    scales: Sequence[int] | None = None,
    flip: bool | None = None,
    fuse: Sequence[Run | Posteriors | str | Path] = (),
    save: str | Path | None = None,
    split: SplitName = "test",
    data_root: Path | None = None,
    download: bool = False,
    device: str = "auto",
    batch: int = 256,
    memory: int = MEMORY,
    engine: EngineName = "auto",
    watch: Callable[[int, int], None] = lambda done, total: None,
) -> Evaluation:
    """How often the run's network, or several together, name the class of an image.

    Args:
        run: A run, its folder, or a model's file; or posteriors that were saved, and their file.
        data: A data set's name or a folder; None is the one that the network was trained on. Classes are matched by
            name, whatever their order or number there. Of a new folder of class folders alone all images are taken.
        protocol: "center", one crop; "ten-crop", "multi-crop" (50 crops for each scale), "dense", or "both" of these.
        scales: Smallest sides Q of the rescaled image in pixels; None is the one of the run's preprocessing.
        flip: Whether the mirror image counts as much as the image; None is yes, except for "center".
        fuse: Other runs, or saved posteriors; all runs together answer with the mean of their posteriors.
        save: A file for the posteriors, ``.npz``, that `fuse` takes.
        split: "test"; "validation", the images held out from training by the run's share and seed; or "train", all
            training images.
        data_root: Folder of the data set's files.
        download: Fetch the files if they are missing.
        device: "auto", "cpu", "cuda" or "cuda:N".
        batch: Images computed at once.
        memory: Bytes of the maps that may be alive at once; larger images are computed in parts.
        engine: That computes; "auto" is our kernels where they are right and fast, else PyTorch. The evaluation says
            which it was.
        watch: Is told now and then how many images have been computed of how many; see `posteriors`.

    Raises:
        ConfigError: no finished run there, no such data set, device, engine or protocol, a scale below the crop, a
            model alone and no `data`, `batch` or `memory` is below 1, or runs that cannot be fused: other classes or
            images, or one of them twice.
        DataError: images missing or unreadable, or of a class that the network does not know; damaged posteriors.
        ResourceError: code EVAL-MEMORY; an image, or the smallest part of it, takes more memory than there is.
        WeightsError: the run's model is damaged, or has no class names.
        NumericalError: the network's scores are not finite.
    """
    refuse_below_one(batch=batch, memory=memory)
    if save is not None:
        _refuse_place(Path(save))
    sources = [_opened(source) for source in (run, *fuse)]
    runs = [source for source in sources if isinstance(source, Run)]
    asked = [protocol_for(one, protocol, scales=scales, flip=flip) for one in runs]
    if not runs:
        if (data, protocol, scales, flip) != (None, "center", None, None):
            raise ConfigError(
                "saved posteriors have their images and their protocol already",
                code="OPTIONS-DISAGREE",
                hint="Leave out the data set, --protocol, --scales and --flip, or name a run.",
            )
        return _judged(fused([source for source in sources if isinstance(source, Posteriors)]), save=save)
    _refuse_other_classes(sources)
    images = labelled(runs[0], data, split=split, data_root=data_root, download=download)
    if len(sources) == 1 and save is None and asked[0] == protocol_for(runs[0]):
        room = room_for(runs[0], images, protocol=asked[0], memory=memory)
        found = logits(runs[0], images, device=device, batch=room.crops_at_once(batch), engine=engine)
        evaluation = measure(found.array, images.labels, classes=images.classes)
        return replace(evaluation, engine=found.engine, scales=asked[0].scales)
    _refuse_other_images(sources, images)
    refuse_twice(_members(sources, asked=asked))
    for other, wanted in zip(runs[1:], asked[1:], strict=True):
        room_for(other, images, protocol=wanted, memory=memory)  # refuses before anything is computed
    with joined(device) as processes:  # once for all runs: who has left cannot join again
        computed = [
            share_of(
                one,
                images,
                protocol=wanted,
                processes=processes,
                batch=batch,
                memory=memory,
                engine=engine,
                watch=watch,
            )
            for one, wanted in zip(runs, asked, strict=True)
        ]
    rest = iter(computed)
    return _judged(fused([next(rest) if isinstance(source, Run) else source for source in sources]), save=save)


def labelled(
    run: Run,
    data: str | Path | None = None,
    *,
    split: SplitName = "test",
    data_root: Path | None = None,
    download: bool = False,
) -> Split:
    """The images of a data set, with labels that are indices into the run's classes; see `evaluate`."""
    # A model alone was trained elsewhere: only what its training has decided cannot be asked of it.
    config = run.config if data is None or split == "validation" else run.settings or Config()
    name = config.data if data is None else str(data)
    source = "test" if split == "test" and not _is_all_new(name, config) else "train"
    # The variable comes before the run's own record: the run may have come from another machine.
    root = data_root or (None if os.environ.get(catalog.ROOT_VARIABLE) else config.data_root)
    try:
        found = catalog.load(name, split=source, root=root, download=download)
    except DataError as error:
        if error.code == "DATA-NO-TEST":
            error.hint = "Add one of them, or evaluate on the images held out from training: --split validation."
        raise
    if split == "test":
        refuse_unreadable(found)
    else:
        found, _ = usable(found, bad_images=config.bad_images)
    if split == "validation":
        _, found = hold_out(found, fraction=config.val, seed=config.seed)
    return map_classes(with_channels(found, run.preprocessing.channels), run.named())


def unseen(run: Run, *, data_root: Path | None = None) -> tuple[Split, Literal["test", "validation"]]:
    """The images that say how good a run is: the test images, or those held out where its data set has none."""
    try:
        return labelled(run, data_root=data_root), "test"
    except DataError as error:
        if error.code != "DATA-NO-TEST" or not run.config.val:
            raise
        return labelled(run, split="validation", data_root=data_root), "validation"


def logits(run: Run, images: Split, *, device: str = "auto", batch: int = 256, engine: EngineName = "auto") -> Logits:
    """The network's logits for a split.

    Raises:
        ConfigError: no such device or engine here, or `batch` is below 1.
        DataError: the split has no images, or one of them cannot be read.
    """
    if batch < 1:
        raise ConfigError(f"batch must be 1 or more, got {batch}", code="OPTION-VALUE", hint="Give --batch 256.")
    with joined(device) as processes:
        choice, settings = choose(engine, device=processes.device), run.settings or Config()
        array = scores_of(
            ready(choice, run.network, run.weights, device=processes.device, layout=settings.layout),
            images,
            classes=run.network.classes,
            preprocessing=run.preprocessing,
            processes=processes,
            batch=batch,
            workers=settings.workers,
        )
    return Logits(array, choice.name)


def _refuse_place(file: Path) -> None:
    """Refuse a file for posteriors that could not be written, or not be found again, before anything is computed."""
    if file.suffix != saved.SUFFIX:
        raise ConfigError(f"--save {file} does not end in {saved.SUFFIX}", code="OUT", hint="Rename it.")
    if file.is_dir() or not file.parent.is_dir():
        why = "it is a folder" if file.is_dir() else f"{file.parent} is no folder"
        raise ConfigError(f"--save {file} cannot be written: {why}", code="OUT")


def _opened(source: Run | Posteriors | str | Path) -> Run | Posteriors:
    """What a user named: a run, or a file of posteriors."""
    if isinstance(source, Run | Posteriors):
        return source
    return saved.load(Path(source)) if Path(source).suffix == saved.SUFFIX else open_run(source)


def _refuse_other_classes(sources: Sequence[Run | Posteriors]) -> None:
    first = sources[0]
    for other in sources[1:]:
        one, two = (source.named() if isinstance(source, Run) else source.classes for source in (first, other))
        refuse_other_classes(one, two, of=_name(first), beside=_name(other))


def _refuse_other_images(sources: Sequence[Run | Posteriors], images: Split) -> None:
    """Refuse runs that read other channels than the split has, and posteriors of another split."""
    known = fingerprint(images) if len(sources) > 1 else ""
    for source in sources:
        if isinstance(source, Posteriors):
            refuse_other_images(known, source.images, of=images.name, beside=_name(source))
        elif source.preprocessing.channels != images.channels:
            raise ConfigError(
                f"{_name(sources[0])} and {_name(source)} cannot be fused: one reads grey images, the other colour",
                code="FUSE-IMAGES",
                hint="Fuse runs of one kind.",
            )


def _members(sources: Sequence[Run | Posteriors], *, asked: Sequence[Protocol]) -> tuple[Member, ...]:
    """What will be fused: of each run that is still to be computed, by its protocol of `asked`, and what was saved."""
    rest = iter(asked)
    return tuple(
        tested
        for source in sources
        for tested in (source.members if isinstance(source, Posteriors) else (member_of(source, next(rest)),))
    )


def _name(source: Run | Posteriors) -> str:
    return str(source.path) if isinstance(source, Run) else named(source)


def _judged(found: Posteriors, *, save: str | Path | None) -> Evaluation:
    """The evaluation of posteriors, which are saved first if a file is named."""
    if save is not None and speaks():
        saved.save(found, Path(save))
    # A class that is ruled out costs 708 nats where it is the right one: infinity would hide all other images.
    scores = np.log(np.maximum(found.array, np.finfo(np.float64).tiny))
    first, is_alone = found.members[0], len(found.members) == 1
    return replace(
        measure(scores, found.labels, classes=found.classes),
        engine=found.engine,
        protocol=first.protocol,
        scales=first.scales,
        flip=first.flip,
        runs=() if is_alone else found.members,
    )


def _is_all_new(data: str, config: Config) -> bool:
    """Whether `data` is a folder of class folders alone that the run was not trained on."""
    folder = Path(data)
    if not catalog.is_folder(data) or folder.resolve() == Path(config.data).resolve():
        return False
    return not any((folder / part).is_dir() for part in ("train", *TEST_FOLDERS))
