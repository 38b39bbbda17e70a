"""Networks that no paper has: what the vocabulary allows and the catalogue never asks of a backend."""

from verydeep.spec import (
    LRN,
    BatchNorm,
    Block,
    Conv,
    Flatten,
    Layer,
    Linear,
    Network,
    PadChannels,
    Pool,
    ReLU,
    Tanh,
    branch,
    conv,
    pool,
    residual,
)


def _odd(name: str, *layers: Layer) -> Network:
    """The layers on a small rectangle, and a linear layer that every number of their map reaches."""
    head = Block("head", (Flatten("flatten"), Linear("fc", 5)))
    return Network(name, (4, 13, 10), (Block("body", layers), head))


ODD_NETWORKS = (
    _odd("uneven_convolution", Conv("conv", 6, (3, 2), stride=(2, 1), padding=((0, 2), (1, 0))), ReLU("relu")),
    _odd("dilated_convolution", Conv("conv", 6, (3, 5), stride=(1, 2), padding=((2, 2), (1, 1)), dilation=(2, 1))),
    _odd("grouped_convolution", conv("conv", 8, kernel=(1, 3), groups=4, bias=False), Tanh("tanh")),
    _odd("padded_mean", pool("pool", "average", kernel=3, stride=2, padding=1)),
    _odd("padded_mean_rounded_up", pool("pool", "average", kernel=4, stride=3, padding=1, rounding="ceil")),
    _odd("uneven_mean", Pool("pool", "average", (3, 4), (2, 2), ((0, 2), (3, 2)), "ceil")),
    _odd("uneven_maximum", Pool("pool", "max", (3, 2), (3, 2), ((2, 1), (0, 1)), "ceil")),
    _odd("wide_padding", pool("pool", kernel=4, stride=2, padding=3), pool("mean", "average", kernel=3, padding=2)),
    _odd("whole_maximum", conv("conv", 6), pool("pool", kernel=None)),
    _odd("whole_mean", conv("conv", 6), pool("pool", "average", kernel=None)),
    _odd("strong_lrn", LRN("lrn", size=3, alpha=0.5, beta=0.6, k=1.0)),
    _odd("uneven_channels", PadChannels("pad", before=3, after=1), conv("conv", 6)),
    _odd(
        "paths_within_paths",
        branch(
            "outer",
            (residual("inner", (conv("conv1", 4, padding=1), ReLU("relu1")), shortcut=(conv("conv2", 4, kernel=1),)),),
            (branch("split", (Tanh("tanh"),), (conv("conv3", 2, kernel=1),), ()),),
            (),
        ),
    ),
    Network(
        "normalised_vector",
        (4, 13, 10),
        (
            Block("body", (pool("pool", kernel=4, stride=4), Flatten("vector"))),
            Block("head", (Linear("fc1", 9, bias=False), BatchNorm("norm", 1e-2, 0.3), ReLU("relu"), Linear("fc2", 5))),
        ),
    ),
)
