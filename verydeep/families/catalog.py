"""Every network by name: a dict that you can read, and the one function that looks in it."""

import inspect
from collections.abc import Callable
from difflib import get_close_matches
from functools import partial

from verydeep.errors import ConfigError
from verydeep.families.airbench import airbench94_relu
from verydeep.families.alexnet import alexnet, alexnet_2012
from verydeep.families.early import WIDE, vgg_early
from verydeep.families.googlenet import googlenet, googlenet_bn
from verydeep.families.lenet import lenet5
from verydeep.families.nin import nin, nin_imagenet
from verydeep.families.resnet import resnet, resnet_cifar
from verydeep.families.small import mnist_cnn, simple_cnn
from verydeep.families.vgg import column
from verydeep.spec import Network

CATALOG: dict[str, Callable[..., Network]] = {
    "vgg11": partial(column, "A", name="vgg11"),
    "vgg11_lrn": partial(column, "A-LRN", name="vgg11_lrn"),
    "vgg13": partial(column, "B", name="vgg13"),
    "vgg16_1x1": partial(column, "C", name="vgg16_1x1"),
    "vgg16": partial(column, "D", name="vgg16"),
    "vgg19": partial(column, "E", name="vgg19"),
    "vgg_shallow": partial(column, "shallow", name="vgg_shallow"),
    "vgg11_bn": partial(column, "A", name="vgg11_bn", batch_norm=True),
    "vgg11_lrn_bn": partial(column, "A-LRN", name="vgg11_lrn_bn", batch_norm=True),
    "vgg13_bn": partial(column, "B", name="vgg13_bn", batch_norm=True),
    "vgg16_1x1_bn": partial(column, "C", name="vgg16_1x1_bn", batch_norm=True),
    "vgg16_bn": partial(column, "D", name="vgg16_bn", batch_norm=True),
    "vgg19_bn": partial(column, "E", name="vgg19_bn", batch_norm=True),
    "vgg_shallow_bn": partial(column, "shallow", name="vgg_shallow_bn", batch_norm=True),
    "vgg_early": vgg_early,
    "vgg_early_wide": partial(vgg_early, channels=WIDE, name="vgg_early_wide"),
    "lenet5": lenet5,
    "alexnet": alexnet,
    "alexnet_2012": alexnet_2012,
    "nin": nin,
    "nin_imagenet": nin_imagenet,
    "googlenet": googlenet,
    "googlenet_bn": googlenet_bn,
    "resnet18": partial(resnet, 18),
    "resnet34": partial(resnet, 34),
    "resnet50": partial(resnet, 50),
    "resnet101": partial(resnet, 101),
    "resnet152": partial(resnet, 152),
    "resnet20_cifar": partial(resnet_cifar, 20),
    "resnet32_cifar": partial(resnet_cifar, 32),
    "resnet44_cifar": partial(resnet_cifar, 44),
    "resnet56_cifar": partial(resnet_cifar, 56),
    "resnet110_cifar": partial(resnet_cifar, 110),
    "mnist_cnn": mnist_cnn,
    "simple_cnn": simple_cnn,
    "airbench94_relu": airbench94_relu,
}

PAPER_NAMES = {  # the columns of Table 1, and the net of section 4.1
    "A": "vgg11",
    "A-LRN": "vgg11_lrn",
    "B": "vgg13",
    "C": "vgg16_1x1",
    "D": "vgg16",
    "E": "vgg19",
    "shallow": "vgg_shallow",
}


def network(
    name: str,
    *,
    input: tuple[int, int, int] | None = None,
    classes: int | None = None,
    width: float | None = None,
    fc: tuple[int, ...] | None = None,
    dropout: float | None = None,
    blocks: int | None = None,
) -> Network:
    """The network of this name, the paper's or the usual one: "D", "vgg16", "D_bn", "vgg16_bn", "resnet50".

    Args:
        name: Case, "-" and "_" do not matter. `CATALOG` lists all names.
        input: (channels, height, width) of the images; None is the network's own.
        classes: Outputs of the last layer; None is the network's own.
        width: Factor on the channels of the convolutions; None is 1.
        fc: Features of the hidden fully connected layers (VGG and AlexNet); () is a single linear layer.
        dropout: Rate of every dropout layer, where the network has them.
        blocks: The first so many blocks of a column of Table 1.

    Raises:
        ConfigError: no network has this name, or it has no such option.
        SpecError: the options give a network that cannot exist.
    """
    known = resolve(name)
    options = {
        "input": input,
        "classes": classes,
        "width": width,
        "fc": fc,
        "dropout": dropout,
        "blocks": blocks,
    }
    given = {option: value for option, value in options.items() if value is not None}
    accepted = inspect.signature(CATALOG[known]).parameters
    for option in given:
        if option not in accepted:
            own = ", ".join(option for option in options if option in accepted)
            raise ConfigError(f"{known} has no option {option!r}", code="NET-OPTION", hint=f"It takes {own}.")
    return CATALOG[known](**given)


def resolve(name: str) -> str:
    """The catalogue's name for `name`; ConfigError with the nearest names where there is none."""
    known = {_plain(key): key for key in CATALOG}
    for paper, usual in PAPER_NAMES.items():
        known[_plain(paper)] = usual
        known[_plain(f"{paper}_bn")] = f"{usual}_bn"
    plain = _plain(name)
    if plain not in known:
        near = get_close_matches(plain, known, n=3)
        suggestion = f"Did you mean {' or '.join(dict.fromkeys(known[match] for match in near))}?" if near else ""
        hint = suggestion or "`verydeep list` shows all."
        raise ConfigError(f"no network is called {name!r}", code="NET-UNKNOWN", hint=hint)
    return known[plain]


def _plain(name: str) -> str:
    return name.lower().replace("-", "_")
