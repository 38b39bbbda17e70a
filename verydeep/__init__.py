"""VGGNet done completely: one description of a network, from which everything is derived.

Importing this loads no framework; what needs one is imported when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from verydeep.errors import VerydeepError
from verydeep.families.catalog import network
from verydeep.families.vgg import vgg, vgg_block
from verydeep.spec import (
    LRN,
    BatchNorm,
    Block,
    Conv,
    Dropout,
    Flatten,
    Linear,
    Network,
    PadChannels,
    Parallel,
    Pool,
    ReLU,
    Tanh,
    branch,
    conv,
    pool,
    residual,
)

if TYPE_CHECKING:
    from verydeep.api import evaluate, predict, push, resume, train
    from verydeep.backends.catalog import build, engine_of, features, get_weights, set_weights
    from verydeep.backends.load import load_weights
    from verydeep.benchmark.bench import bench
    from verydeep.deploy.export import export
    from verydeep.engine.calibrate import calibrate
    from verydeep.engine.engine import Engine
    from verydeep.hub.pull import pull
    from verydeep.report.compare import compare
    from verydeep.report.draw import draw
    from verydeep.report.source.frameworks import code
    from verydeep.report.table import summary, table
    from verydeep.rewrite.cut import cut
    from verydeep.rewrite.dense import dense, dense_weights
    from verydeep.rewrite.fold import fold, fold_weights
    from verydeep.rewrite.grow import grow, grow_weights
    from verydeep.rewrite.preprocess import fold_preprocessing
    from verydeep.run import Run, open_run
    from verydeep.weights.importing import import_weights
    from verydeep.weights.torchvision import from_torchvision, to_torchvision

_LATER = {  # name -> the module that has it
    "Engine": "verydeep.engine.engine",
    "Run": "verydeep.run",
    "bench": "verydeep.benchmark.bench",
    "build": "verydeep.backends.catalog",
    "calibrate": "verydeep.engine.calibrate",
    "code": "verydeep.report.source.frameworks",
    "compare": "verydeep.report.compare",
    "cut": "verydeep.rewrite.cut",
    "dense": "verydeep.rewrite.dense",
    "dense_weights": "verydeep.rewrite.dense",
    "draw": "verydeep.report.draw",
    "engine_of": "verydeep.backends.catalog",
    "evaluate": "verydeep.api",
    "export": "verydeep.deploy.export",
    "features": "verydeep.backends.catalog",
    "fold": "verydeep.rewrite.fold",
    "fold_preprocessing": "verydeep.rewrite.preprocess",
    "fold_weights": "verydeep.rewrite.fold",
    "from_torchvision": "verydeep.weights.torchvision",
    "get_weights": "verydeep.backends.catalog",
    "grow": "verydeep.rewrite.grow",
    "grow_weights": "verydeep.rewrite.grow",
    "import_weights": "verydeep.weights.importing",
    "load_weights": "verydeep.backends.load",
    "open_run": "verydeep.run",
    "predict": "verydeep.api",
    "pull": "verydeep.hub.pull",
    "push": "verydeep.api",
    "resume": "verydeep.api",
    "set_weights": "verydeep.backends.catalog",
    "summary": "verydeep.report.table",
    "table": "verydeep.report.table",
    "to_torchvision": "verydeep.weights.torchvision",
    "train": "verydeep.api",
}

__all__ = [  # noqa: RUF022 - in the order in which one meets them
    "network",
    "vgg",
    "vgg_block",
    "Network",
    "Block",
    "Conv",
    "Pool",
    "Linear",
    "BatchNorm",
    "ReLU",
    "Tanh",
    "Dropout",
    "LRN",
    "Flatten",
    "PadChannels",
    "Parallel",
    "conv",
    "pool",
    "branch",
    "residual",
    "table",
    "summary",
    "compare",
    "draw",
    "code",
    "dense",
    "dense_weights",
    "grow",
    "grow_weights",
    "fold",
    "fold_weights",
    "fold_preprocessing",
    "cut",
    "build",
    "import_weights",
    "load_weights",
    "set_weights",
    "get_weights",
    "to_torchvision",
    "from_torchvision",
    "features",
    "engine_of",
    "Engine",
    "calibrate",
    "train",
    "resume",
    "Run",
    "open_run",
    "evaluate",
    "predict",
    "bench",
    "export",
    "push",
    "pull",
    "VerydeepError",
]


def __getattr__(name: str) -> Any:
    """Import the module that has a public name when the name is first used."""
    if name not in _LATER:
        raise AttributeError(f"module 'verydeep' has no attribute {name!r}")
    value = getattr(import_module(_LATER[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names."""
    return sorted(__all__)
