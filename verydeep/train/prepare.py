"""From a Config to what a run needs: the images, their preprocessing, the network and its first weights."""

from dataclasses import dataclass

from verydeep.data import catalog
from verydeep.data.augment import Augment, with_components
from verydeep.data.check import Bad, usable
from verydeep.data.preprocess import Preprocessing, measure
from verydeep.data.split import MemorySplit, Split, fingerprint, hold_out, map_classes
from verydeep.errors import ConfigError
from verydeep.families.catalog import network as by_name
from verydeep.families.vgg import DROPOUT, FC, vgg
from verydeep.record.folder import open_run
from verydeep.rewrite.grow import grow_weights
from verydeep.spec import BatchNorm, Network, walk
from verydeep.train.config import Config
from verydeep.train.processes import Processes
from verydeep.weights.initial import Weights, initial


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
    fingerprint: str  # of the training and validation images together
    bad: tuple[Bad, ...]  # unreadable images that were left out


def prepare(config: Config, processes: Processes, *, network: Network | None = None) -> Prepared:
    """Read and check the data and describe the network, unless `network` is given.

    Raises:
        DataError: images missing, unreadable or too few.
        ConfigError, SpecError: settings that do not go together, or with this data.
    """
    whole = _load(config, processes)
    whole, bad = usable(whole, bad_images=config.bad_images)
    train, val = hold_out(whole, fraction=config.val, seed=config.seed) if config.val else (whole, None)
    if val is not None and not len(val):
        val = None
    preprocessing = _preprocessing(config, train)
    augment = Augment(scale=config.scale, crop=config.crop, flip=config.flip, pad=config.pad, color=config.color)
    if config.color:
        augment = with_components(augment, train)
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
        val=val,
        fingerprint=fingerprint(whole),
        bad=tuple(bad),
    )


def describe(config: Config, *, channels: int, size: tuple[int, int], classes: int) -> Network:
    """The network that `config` names, for images of `size` (height, width) pixels."""
    shape = (channels, *size)
    if config.arch is not None:
        return vgg(
            config.blocks(),
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
    )


def first_weights(config: Config, network: Network) -> Weights:
    """The weights before the first step: drawn by the named rule, or grown from a run of net A (section 3.1)."""
    fresh = initial(network, rule=config.init, seed=config.seed)
    if config.grow_from is None:
        return fresh
    source = open_run(config.grow_from)
    return grow_weights(network, initial=fresh, source=source.network, source_weights=source.weights)


def test_split(config: Config, *, classes: tuple[str, ...]) -> Split:
    """The test images, with labels that are indices into `classes`."""
    split = catalog.load(config.data, split="test", root=config.data_root, download=config.download)
    split, _ = usable(split, bad_images="refuse")
    return map_classes(split, classes)


def _load(config: Config, processes: Processes) -> Split:
    # One process downloads, the others then find the files.
    if config.download and processes.is_first:
        catalog.load(config.data, split="train", root=config.data_root, download=True)
    processes.from_first(None)
    return catalog.load(config.data, split="train", root=config.data_root)


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
    tested_at = sum(config.scale) // 2 if config.scale else min(size)
    return Preprocessing(
        channels=train.channels,
        size=size,
        resize=tested_at,
        crop="center",
        mean=mean,
        std=std,
        color="grey" if train.channels == 1 else "RGB",
    )


def _check_network(network: Network, preprocessing: Preprocessing, train: Split) -> None:
    """A network that came ready-made must read these images and tell their classes apart."""
    shape = (preprocessing.channels, *preprocessing.size)
    for what, own, found in (
        ("reads images of", network.input, shape),
        ("tells apart", (network.classes,), (len(train.classes),)),
    ):
        if own != found:
            raise ConfigError(
                f"{network.name} {what} {'x'.join(map(str, own))}, and {train.name} has {'x'.join(map(str, found))}",
                code="NET-DATA",
                hint="Describe the network for this data, or give --size.",
            )


def _check_batch(config: Config, images: int, processes: Processes, network: Network) -> None:
    batch = min(config.batch, images)
    if batch < 2 * processes.world and processes.world > 1:
        raise ConfigError(
            f"a batch of {batch} leaves {processes.world} processes fewer than two images each",
            code="BATCH-WORLD",
            hint="Give a larger --batch or fewer processes.",
        )
    norms = [step for step in walk(network) if isinstance(step.layer, BatchNorm)]
    if batch < 2 and norms:
        raise ConfigError(
            f"{network.name} has batch norm, which needs at least two images in a batch",
            code="BATCH-NORM",
            hint="Give --batch 2 or more, or a network without batch norm.",
        )
