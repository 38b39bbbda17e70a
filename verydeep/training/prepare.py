"""From a Config to what a run needs: the images, their preprocessing, the network and its first weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from verydeep.data import catalog
from verydeep.data.augment import Augment, with_components
from verydeep.data.batches import plan
from verydeep.data.check import usable
from verydeep.data.measure import measure
from verydeep.data.split import MemorySplit, Split, fingerprint, hold_out, map_classes, take
from verydeep.errors import ConfigError, DataError, WeightsError
from verydeep.families.catalog import network as by_name
from verydeep.families.vgg import DROPOUT, FC, vgg
from verydeep.preprocessing import Preprocessing
from verydeep.processes import Processes
from verydeep.report.words import sizes
from verydeep.rewrite.grow import grow_weights
from verydeep.run import open_run
from verydeep.settings.config import Config
from verydeep.spec import BatchNorm, Network, walk
from verydeep.training.rates import last_layer
from verydeep.training.whiten import whitening, whitening_kernels
from verydeep.weights.fit import refuse_misfit, shapes
from verydeep.weights.initial import Weights, initial


@dataclass(frozen=True, slots=True)
class Seen:
    """What was found out about the images, kept in every checkpoint so that they are checked once."""

    fingerprint: str  # of the training images, readable or not
    images: int
    classes: tuple[str, ...]
    bad: tuple[int, ...]  # training images that cannot be read and are left out
    bad_test: tuple[int, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "fingerprint": self.fingerprint,
            "images": self.images,
            "classes": list(self.classes),
            "bad": list(self.bad),
            "bad_test": list(self.bad_test),
        }


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """Everything that is settled before the first step and does not change any more."""

    config: Config
    processes: Processes
    network: Network
    preprocessing: Preprocessing
    augment: Augment
    train: Split
    val: Split | None  # held out from the training images
    test: Split | None  # looked at once, when training is over
    seen: Seen
    steps: int  # of the whole run


def prepare(
    config: Config,
    processes: Processes,
    *,
    network: Network | None = None,
    before: Mapping[str, Any] | None = None,
    allow_data_change: bool = False,
) -> Prepared:
    """Read and check the data and describe the network.

    Args:
        config: The run's settings.
        processes: The first of them checks the images for all.
        network: Trained in place of the one that `config` names.
        before: What `Seen.to_json` gave when the run began: the same images are not checked again.
        allow_data_change: Go on although the images are others than before; the classes must be the same.

    Raises:
        DataError: images missing, unreadable, too few, or others than before.
        WeightsError: other classes than before.
        ConfigError, SpecError: settings that do not go together, or with this data.
    """
    whole, test = _load(config, processes)
    now = fingerprint(whole)
    if before is not None:
        _compare(before, now, whole, allow_data_change=allow_data_change)
    if before is not None and before["fingerprint"] == now:
        seen = Seen(now, len(whole), whole.classes, tuple(before["bad"]), tuple(before["bad_test"]))
    else:
        bad, bad_test = processes.on_first(lambda: (_unreadable(whole, config), _unreadable(test, config)))
        seen = Seen(now, len(whole), whole.classes, bad, bad_test)
    whole = _without(whole, seen.bad)
    train, val = hold_out(whole, fraction=config.val, seed=config.seed) if config.val else (whole, None)
    preprocessing = _preprocessing(config, train)
    augment = augment_for(config, train)
    if network is None:
        network = describe(config, channels=train.channels, size=preprocessing.size, classes=len(train.classes))
    _check_network(network, preprocessing, train)
    _check_batch(config, len(train), processes, network)
    return Prepared(
        config=config,
        processes=processes,
        network=network,
        preprocessing=preprocessing,
        augment=augment,
        train=train,
        val=val if val is not None and len(val) else None,
        test=None if test is None else map_classes(_without(test, seen.bad_test), train.classes),
        seen=seen,
        steps=config.epochs * len(plan(len(train), config.batch)),
    )


def augment_for(config: Config, train: Split) -> Augment:
    """The changes to training images that the settings ask for; the colours' components are those of `train`."""
    augment = Augment(
        scale=config.scale,
        crop=config.crop,
        flip=config.flip,
        turns=config.turns,
        pad=config.pad,
        border=config.border,
        color=config.color,
    )
    return with_components(augment, train) if config.color else augment


def describe(config: Config, *, channels: int, size: tuple[int, int], classes: int) -> Network:
    """The network that `config` names, for images of `size` (height, width) pixels."""
    shape = (channels, *size)
    if config.arch is not None:
        return vgg(
            config.arch_blocks(),
            input=shape,
            classes=classes,
            width=config.width,
            fc=FC if config.fc is None else config.fc,
            dropout=DROPOUT if config.dropout is None else config.dropout,
            batch_norm=config.batch_norm,
        )
    return by_name(
        config.net or "vgg11_bn",
        input=shape,
        classes=classes,
        width=None if config.width == 1.0 else config.width,
        fc=config.fc,
        dropout=config.dropout,
        blocks=config.blocks,
    )


def first_weights(config: Config, network: Network, *, classes: tuple[str, ...] | None = None) -> Weights:
    """The weights before the first step: drawn by the named rule, grown from a run of net A, or those of a run.

    Args:
        config: Says which.
        network: Whose weights they are.
        classes: What its outputs stand for, in their order; None is whatever a run's stand for that it starts from.

    Raises:
        SpecError, WeightsError: the run is of a network that this one cannot begin with.
    """
    if config.start_from is not None:
        return _all_of(config.start_from, network, classes=classes)
    fresh = initial(network, rule=config.init, seed=config.seed)
    if config.grow_from is None:
        return fresh
    source = open_run(config.grow_from)
    return grow_weights(network, initial=fresh, source=source.network, source_weights=source.weights)


def _all_of(folder: Path, network: Network, *, classes: tuple[str, ...] | None) -> Weights:
    """The weights of a run of the same arrays, as S = 384 begins with those of S = 256 (section 3.1)."""
    source = open_run(folder)
    hint = "Train on data of the same classes, or leave --start-from out."
    if source.network.classes != network.classes:
        raise WeightsError(
            f"{network.name} with {network.classes} classes cannot start from {folder}, which tells "
            f"{source.network.classes} apart",
            code="WEIGHTS-MISMATCH",
            hint=hint,
        )
    if classes is not None and source.classes and source.classes != classes:
        one, other = next(pair for pair in zip(classes, source.classes, strict=True) if pair[0] != pair[1])
        raise WeightsError(
            f"{network.name} cannot start from {folder}, whose output for {other!r} would become that for {one!r}",
            code="WEIGHTS-MISMATCH",
            hint=hint,
        )
    try:
        refuse_misfit(shapes(network), source.weights, of=network.name)
    except WeightsError as error:
        error.hint = (
            f"{folder} is a run of another network; to take some layers of a shallower one: --grow-from {folder}"
        )
        raise
    return dict(source.weights)


def first_arrays(prepared: Prepared) -> Weights:
    """`first_weights` with what the training images and the optimiser's settings decide of them."""
    config, classes = prepared.config, prepared.train.classes
    arrays = first_weights(config, prepared.network, classes=classes)
    if config.whiten:
        layer = whitening(prepared.network)
        arrays[f"{layer.name}.weight"] = whitening_kernels(
            prepared.train,
            preprocessing=prepared.preprocessing,
            kernel=layer.kernel,
            device=prepared.processes.device,
        )
    if config.logit_scale != 1.0:
        arrays |= {name: arrays[name] * np.float32(config.logit_scale) for name in last_layer(prepared.network)}
    return arrays


def at_once(config: Config, processes: Processes) -> int:
    """Images that one process computes at a time, in training and so in evaluation too."""
    return -(-config.batch // (config.accumulate * processes.world))


def _load(config: Config, processes: Processes) -> tuple[Split, Split | None]:
    """The training and the test images; None where the data set has no test images."""
    if config.download:  # one process fetches, the others then find the files
        processes.on_first(lambda: catalog.load(config.data, split="train", root=config.data_root, download=True))
    train = catalog.load(config.data, split="train", root=config.data_root)
    try:
        return train, catalog.load(config.data, split="test", root=config.data_root)
    except DataError as error:
        if error.code != "DATA-NO-TEST":
            raise
        return train, None


def _unreadable(split: Split | None, config: Config) -> tuple[int, ...]:
    return () if split is None else tuple(one.index for one in usable(split, bad_images=config.bad_images)[1])


def _without(split: Split, bad: tuple[int, ...]) -> Split:
    return take(split, np.delete(np.arange(len(split)), list(bad))) if bad else split


def _compare(before: Mapping[str, Any], now: str, split: Split, *, allow_data_change: bool) -> None:
    if tuple(before["classes"]) != split.classes:
        gone = sorted(set(before["classes"]) - set(split.classes))
        new = sorted(set(split.classes) - set(before["classes"]))
        raise WeightsError(
            f"{split.name}: the classes are not those of the run: gone {gone}, new {new}",
            code="CKP-CLASSES",
            hint="Begin a new run for other classes.",
        )
    if before["fingerprint"] != now and not allow_data_change:
        raise DataError(
            f"{split.name}: the images are not those that the run began with: {before['images']:,} then, "
            f"{len(split):,} now",
            code="DATA-CHANGED",
            hint="Put the old ones back, or go on with --allow-data-change.",
        )


def _preprocessing(config: Config, train: Split) -> Preprocessing:
    if config.size is not None:
        size = (config.size, config.size)
    elif isinstance(train, MemorySplit):
        size = (train.images.shape[2], train.images.shape[3])
    else:
        raise ConfigError(
            "photographs differ in size, and the network reads one",
            code="SIZE-MISSING",
            hint="Give --size, as in --size 64.",
        )
    if config.scale is not None and (config.scale[0] > config.scale[1] or config.scale[0] < max(size)):
        raise ConfigError(
            f"scale {config.scale[0]} to {config.scale[1]} does not hold a crop of {size[0]}",
            code="SCALE",
            hint="Give --scale LOW HIGH with size <= LOW <= HIGH.",
        )
    mean, std = measure(train)
    if config.normalize == "mean":
        std = tuple(1.0 for _ in std)
    return Preprocessing(
        channels=train.channels,
        size=size,
        resize=sum(config.scale) // 2 if config.scale else min(size),
        crop="center",
        mean=mean,
        std=std,
        color="grey" if train.channels == 1 else "RGB",
    )


def _check_network(network: Network, preprocessing: Preprocessing, train: Split) -> None:
    """A network that came ready-made must read these images and tell their classes apart."""
    shape = (preprocessing.channels, *preprocessing.size)
    if network.input != shape:
        raise ConfigError(
            f"{network.name} reads images of {sizes(network.input)}, and those of {train.name} are {sizes(shape)}",
            code="NET-DATA",
            hint="Describe the network for this data, or give --size.",
        )
    if network.classes != len(train.classes):
        raise ConfigError(
            f"{network.name} tells {network.classes} classes apart, and {train.name} has {len(train.classes)}",
            code="NET-DATA",
            hint="Describe the network for this data.",
        )


def _check_batch(config: Config, images: int, processes: Processes, network: Network) -> None:
    smallest = min(len(part) for part in plan(images, config.batch)) // processes.world
    if smallest < 2 and processes.world > 1:
        raise ConfigError(
            f"a batch of {config.batch} of {images} images leaves {processes.world} processes fewer than two each",
            code="BATCH-WORLD",
            hint="Give a larger --batch or fewer processes.",
        )
    if smallest < 2 and any(isinstance(step.layer, BatchNorm) for step in walk(network)):
        raise ConfigError(
            f"{network.name} has batch norm, which needs at least two images in a batch",
            code="BATCH-NORM",
            hint="Give --batch 2 or more, or a network without batch norm.",
        )
