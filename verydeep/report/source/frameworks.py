"""The frameworks in whose source a network can be written. A new one is one file, and one line in FRAMEWORKS."""

from importlib import import_module
from typing import Literal, TypeAlias

from verydeep.errors import ConfigError
from verydeep.spec import Network

Framework: TypeAlias = Literal["pytorch", "keras", "flax", "mxnet"]

FRAMEWORKS: dict[str, str] = {  # name -> the module whose `source` writes it
    "pytorch": "verydeep.report.source.pytorch",
    "keras": "verydeep.report.source.keras",
    "flax": "verydeep.report.source.flax",
    "mxnet": "verydeep.report.source.mxnet",
}


def code(network: Network, *, framework: Framework = "pytorch") -> str:
    """The network as plain, readable source that runs without this package and needs only the framework.

    One function, named after the network, makes the model; its layers have the description's names.

    Raises:
        ConfigError: no framework has this name.
    """
    if framework not in FRAMEWORKS:
        raise ConfigError(
            f"no framework is called {framework!r}",
            code="FRAMEWORK-UNKNOWN",
            hint=f"Choose from {', '.join(FRAMEWORKS)}.",
        )
    return import_module(FRAMEWORKS[framework]).source(network)
