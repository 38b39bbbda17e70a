"""Which network of the catalogue a network is, whatever it is called: other libraries build those by name."""

from verydeep.errors import ConfigError
from verydeep.families.catalog import CATALOG
from verydeep.spec import Dropout, Layer, Network, walk
from verydeep.weights.fit import shapes


def namesake(network: Network, names: dict[str, str], *, library: str) -> str:
    """The value in `names` whose key is the catalogue's name of `network`, of any number of classes.

    The images may have another size than the catalogue's where no array depends on it. Dropout does not count.

    Raises:
        ConfigError: it is none of them.
    """
    for own, theirs in names.items():
        standard = CATALOG[own](classes=network.classes)
        if shapes(standard) == shapes(network) and _layers(standard) == _layers(network):
            return theirs
    raise ConfigError(
        f"{library} has no network like {network.name}",
        code="EXPORT-NETWORK",
        hint=f"It has {', '.join(names)}, of their own sizes; take another format, such as onnx.",
    )


def _layers(network: Network) -> list[Layer]:
    return [step.layer for step in walk(network) if not isinstance(step.layer, Dropout)]
