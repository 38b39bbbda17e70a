"""Named settings that work: each function returns one complete record, a variant changes some fields of another."""

from collections.abc import Callable
from difflib import get_close_matches
from typing import Any

from verydeep.errors import ConfigError
from verydeep.families.catalog import PAPER_NAMES
from verydeep.families.catalog import network as by_name
from verydeep.families.catalog import resolve as known
from verydeep.settings.agreement import agreed
from verydeep.settings.config import Config
from verydeep.spec import BatchNorm, Network, walk


def plain() -> Config:
    """For a network without batch norm: He initial weights, a gentle rate, gradients clipped, cosine to zero."""
    return Config(
        recipe="plain",
        epochs=10,
        lr=0.01,
        schedule="cosine",
        warmup=0.1,
        clip=1.0,
        weight_decay=5e-4,
    )


def normed() -> Config:
    """For a network with batch norm: one cycle of SGD with Nesterov momentum at a high rate."""
    return Config(
        recipe="normed",
        epochs=20,
        lr=0.2,
        nesterov=True,
        schedule="one-cycle",
        warmup=0.2,
        weight_decay=5e-4,
        decayed="matrices",
    )


def digits() -> Config:
    """The embedded 8x8 digits: a small batch-normalised VGG at native size."""
    return normed().updated(
        recipe="digits",
        arch="2x32,2x64,2x128",
        batch_norm=True,
        fc=(),
        epochs=30,
        batch=64,
        pad=1,
        flip=False,
        smoothing=0.1,
    )


def mnist() -> Config:
    """28x28 grey images at native size: a thin batch-normalised VGG."""
    return normed().updated(
        recipe="mnist",
        arch="1x32,2x64,2x128",
        batch_norm=True,
        fc=(),
        epochs=6,
        pad=2,
        flip=False,
        val=0.05,
        precision="auto",
    )


def fashion() -> Config:
    """Fashion-MNIST at native size: the network of `mnist`, mirrored images, more epochs."""
    return mnist().updated(recipe="fashion", flip=True, epochs=10, smoothing=0.1)


def sprint() -> Config:
    """Small grey images in the least time: a VGG that pools early; Fashion-MNIST to 0.92 within half a minute.

    The precision is the quicker one of a short trial, so two runs may choose differently; `precision` settles it.
    """
    return normed().updated(
        recipe="sprint",
        net="vgg_early",
        epochs=5,
        lr=0.1,
        flip=False,
        pad=1,
        smoothing=0.1,
        val=0.05,
        precision="auto",
    )


def quick() -> Config:
    """Small grey images in two or three minutes: `sprint` with a wider network and more epochs."""
    return sprint().updated(recipe="quick", net="vgg_early_wide", epochs=22)


def cifar() -> Config:
    """32x32 colour images: a batch-normalised VGG at native size, crops of images padded by 4."""
    return mnist().updated(recipe="cifar", arch="2x64,2x128,2x256", flip=True, pad=4, epochs=20, smoothing=0.1)


def cifar_sprint() -> Config:
    """32x32 colour images in seconds on a GPU: the recipe of the record (arXiv:2404.00498), with ReLU; slow on a CPU.

    The paper's numbers are per 1,024 images of a summed loss, with what momentum adds to a step taken off.
    """
    batch, momentum, per_1024, decay = 1000, 0.85, 11.5, 0.0153
    return Config(
        recipe="cifar-sprint",
        net="airbench94_relu",
        whiten=True,
        init="identity",
        epochs=10,
        batch=batch,
        lr=per_1024 * batch / 1024 / (1 + 1 / (1 - momentum)),
        momentum=momentum,
        nesterov=True,
        weight_decay=decay / per_1024,
        schedule="one-cycle",
        warmup=0.23,
        rise_from=0.2,
        fall_to=0.07,
        lookahead=5,
        norm_bias_rate=64.0,
        norm_scale="one",
        logit_scale=1 / 9,
        smoothing=0.2,
        flip=True,
        turns="alternating",
        pad=2,
        border="mirrored",
        val=0.0,
        precision="bf16",
        algorithms="fastest",
    )


def photographs() -> Config:
    """A folder of photographs: crops of rescaled images, net A with batch norm and a single linear layer."""
    return normed().updated(
        recipe="photographs",
        net="vgg11_bn",
        fc=(),
        width=0.5,
        size=112,
        scale=(128, 160),
        epochs=30,
        lr=0.1,
        smoothing=0.1,
    )


def book() -> Config:
    """As the courses train the thin VGG: plain SGD at a constant rate, Glorot weights, no augmentation."""
    return Config(
        recipe="book",
        net="vgg11",
        width=0.25,
        init="glorot",
        lr=0.05,
        momentum=0.0,
        weight_decay=0.0,
        flip=False,
        crop="center",
        epochs=10,
    )


def paper() -> Config:
    """Section 3.1 of the paper, S = 256: net A on crops of 224, the rate lowered by plateaus, at most 74 epochs.

    Net A begins with random weights; nets B to E (`net`) grow from a run of it (`grow_from`), or begin with `init`
    "glorot" without. Of the two readings of the initial variance "caffe" is the
    one with which net A trains (docs/training_the_paper.md). The paper's validation images are its test images; here
    a share of the training images stands in for them.
    """
    return Config(
        recipe="paper",
        net="A",
        init="caffe",
        size=224,
        scale=(256, 256),
        color=0.1,
        normalize="mean",
        epochs=74,
        batch=256,
        lr=1e-2,
        momentum=0.9,
        weight_decay=5e-4,
        schedule="plateau",
        factor=0.1,
        drops=3,
        last_plateau="ends",
        val=0.02,
    )


def paper_384() -> Config:
    """Section 3.1, S = 384: all layers of a run of `paper` (`start_from`), at a tenth of its rate."""
    return paper().updated(recipe="paper-384", net="D", scale=(384, 384), lr=1e-3)


def paper_jitter() -> Config:
    """Section 3.1, S drawn from [256; 512]: all layers of a run of `paper-384` (`start_from`) fine-tuned."""
    return paper_384().updated(recipe="paper-jitter", scale=(256, 512))


def laptop() -> Config:
    """The paper's S = 256 at an eighth of its pixels: three blocks of net D, thin, on the JPEG copy of CIFAR-10.

    Crops, mirroring, colours, SGD, momentum and L2 are the paper's. What eight epochs force: He's initial weights,
    which need pixels of deviation 1, a clipped gradient, a cosine in place of plateaus, and half of the dropout.
    """
    return paper().updated(
        recipe="laptop",
        data="cifar10-jpeg",
        net="D",
        blocks=3,
        width=0.25,
        fc=(256, 256),
        dropout=0.25,
        init="he",
        size=28,
        scale=(32, 32),
        normalize="mean-std",
        epochs=8,
        batch=64,
        lr=0.05,
        clip=1.0,
        schedule="cosine",
        warmup=0.1,
        val=0.05,
        precision="bf16",
    )


def laptop_48() -> Config:
    """The paper's S = 384 at an eighth of its pixels: all layers of a run of `laptop` (`start_from`)."""
    base = laptop()
    return base.updated(recipe="laptop-48", scale=(48, 48), lr=base.lr / 10, epochs=3)


def laptop_jitter() -> Config:
    """The paper's S in [256; 512] at an eighth of its pixels: all layers of a run of `laptop-48` (`start_from`)."""
    return laptop_48().updated(recipe="laptop-jitter", scale=(32, 64))


RECIPES: dict[str, Callable[[], Config]] = {
    "plain": plain,
    "normed": normed,
    "digits": digits,
    "mnist": mnist,
    "fashion": fashion,
    "sprint": sprint,
    "quick": quick,
    "cifar": cifar,
    "cifar-sprint": cifar_sprint,
    "photographs": photographs,
    "book": book,
    "paper": paper,
    "paper-384": paper_384,
    "paper-jitter": paper_jitter,
    "laptop": laptop,
    "laptop-48": laptop_48,
    "laptop-jitter": laptop_jitter,
}

FOLLOWS = {  # what goes on with a run's weights (`start_from`), and the recipe of that run
    "paper-384": "paper",
    "paper-jitter": "paper-384",
    "laptop-48": "laptop",
    "laptop-jitter": "laptop-48",
}

OF_THE_NET = ("net", "arch", "batch_norm", "blocks", "width", "fc", "whiten")  # give way where another net is named
ALIKE = ("blocks", "width", "fc")  # stay in a recipe for a part of any column of Table 1: the columns are compared

BY_DATA = {"digits": "digits", "fashion-mnist": "fashion"}  # any other data set: by the shape of its images

UPRIGHT = ("digits", "mnist")  # characters, which mean something else in a mirror


def recipe(name: str) -> Config:
    """The recipe of this name; ConfigError with the nearest names where there is none."""
    if name not in RECIPES:
        near = get_close_matches(name, RECIPES, n=1)
        hint = f"Did you mean {near[0]}?" if near else f"Choose from auto, {', '.join(RECIPES)}."
        raise ConfigError(f"no recipe is called {name!r}", code="RECIPE-UNKNOWN", hint=hint)
    return RECIPES[name]()


def begun(config: Config) -> Config:
    """`config` itself; ConfigError where its recipe goes on with a run's weights and no run is named."""
    if config.recipe in FOLLOWS and config.start_from is None:
        raise ConfigError(
            f"recipe {config.recipe} goes on with the weights of a run of recipe {FOLLOWS[config.recipe]}, "
            "and none is named",
            code="START-MISSING",
            hint="Give --start-from RUN.",
        )
    return config


def resolve(settings: dict[str, Any], *, network: Network | None = None) -> Config:
    """The complete record for what a user set: the recipe's values wherever the user said nothing.

    Args:
        settings: Fields of `Config` by name. ``recipe`` "auto", or none, is chosen by the network where one is named
            and else by the data set. A recipe's own network gives way to `net` or `arch`.
        network: A network that takes the place of `net`.

    Raises:
        ConfigError: an unknown recipe, network or field, a value out of range, or settings that disagree.
    """
    given = Config.model_validate({}).updated(**settings)
    if given.net is not None:
        known(given.net)  # a name that is wrong is refused before anything is read
    named = network is not None or given.net is not None or given.arch is not None
    name = given.recipe if given.recipe != "auto" else _suitable(given, network, named=named)
    base = recipe(name)
    if named:
        defaults, kept = Config(), ALIKE if base.blocks is not None and _is_column(given.net) else ()
        base = base.updated(**{field: getattr(defaults, field) for field in OF_THE_NET if field not in kept})
    if settings.get("data", base.data) in UPRIGHT:
        base = base.updated(flip=False)
    return agreed(base.updated(**{**settings, "recipe": name}))


def _is_column(name: str | None) -> bool:
    """Whether this is a net of Table 1, or of section 4.1, without batch norm or with."""
    return name is not None and known(name).removesuffix("_bn") in PAPER_NAMES.values()


def _suitable(given: Config, network: Network | None, *, named: bool) -> str:
    if not named:
        return BY_DATA.get(given.data) or _by_shape(given.data)
    if network is None and given.arch is not None:
        return "normed" if given.batch_norm else "plain"
    described = network or by_name(given.net or "")
    return "normed" if any(isinstance(step.layer, BatchNorm) for step in walk(described)) else "plain"


def _by_shape(data: str) -> str:
    from verydeep.data.catalog import DATASETS  # imports NumPy, for which `--help` need not wait

    shape = DATASETS[data].shape if data in DATASETS else None
    if shape is None:
        return "photographs"
    return "mnist" if shape[0] == 1 else "cifar"
