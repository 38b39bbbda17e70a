"""What every backend refuses in the same words: foreign models, layers that are not there, names that are taken."""

from collections.abc import Container, Iterable

from verydeep.errors import ConfigError
from verydeep.spec import Network, walk


def description(model: object, network: object) -> Network:
    """`network` as what describes `model`.

    Raises:
        ConfigError: code MODEL-FOREIGN; it is no description, so the model is not what a backend built.
    """
    if not isinstance(network, Network):
        raise ConfigError(
            f"this {type(model).__name__} was not built from a network's description",
            code="MODEL-FOREIGN",
            hint="Build one with verydeep.build.",
        )
    return network


def known(network: Network, taps: Iterable[str]) -> tuple[str, ...]:
    """The names in `taps`, each once.

    Raises:
        ConfigError: code LAYER-UNKNOWN; the network has no layer of this name.
    """
    names = [step.layer.name for step in walk(network)]
    wanted = tuple(dict.fromkeys(taps))
    for name in wanted:
        if name not in names:
            raise ConfigError(
                f"{network.name} has no layer {name!r}", code="LAYER-UNKNOWN", hint=f"Its layers: {', '.join(names)}."
            )
    return wanted


def refuse_taken(network: Network, *, taken: Container[str], by: str) -> None:
    """Check that the blocks and layers, attributes of a model here, have no names that the framework needs.

    Raises:
        ConfigError: code NAME-RESERVED; a name is `taken` by the framework.
    """
    for name in (*(block.name for block in network.blocks), *(step.layer.name for step in walk(network))):
        if name in taken:
            raise ConfigError(
                f"{network.name}: {by} has a use of its own for the name {name!r}",
                code="NAME-RESERVED",
                hint="Rename the layer or block.",
            )
