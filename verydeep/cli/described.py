"""The options by which a command names a network, shared by `show`, `compare` and `code`."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from verydeep import spec_json
from verydeep.cli.options import WHOLE
from verydeep.errors import ConfigError, SpecError
from verydeep.families.catalog import CATALOG, network, resolve
from verydeep.run_files import MODEL, NETWORK
from verydeep.spec import Network


@dataclass(frozen=True, slots=True)
class NetworkOptions:
    """What the options of a command change in a network of the catalogue; None is the network's own."""

    size: Annotated[
        tuple[int, ...] | None, WHOLE, Parameter(help="Pixels of the input: N, or HEIGHT WIDTH.", consume_multiple=True)
    ] = None
    channels: Annotated[int | None, WHOLE, Parameter(help="Channels of the input: 1 for grey images.")] = None
    classes: Annotated[int | None, WHOLE, Parameter(help="Outputs of the last layer.")] = None
    width: Annotated[float | None, Parameter(help="Factor on the convolutions' channels.")] = None
    fc: Annotated[
        tuple[int, ...] | None,
        WHOLE,
        Parameter(help="Hidden fully connected features (VGG, AlexNet); 0: one linear layer.", consume_multiple=True),
    ] = None
    dropout: Annotated[float | None, Parameter(help="Rate of every dropout layer.")] = None
    blocks: Annotated[int | None, WHOLE, Parameter(help="First so many blocks of a column of Table 1.")] = None


AS_IT_IS = NetworkOptions()

Options = Annotated[NetworkOptions, Parameter(name="*")]  # each field an option of its own


def described(name: str, options: NetworkOptions) -> Network:
    """The network that the options describe: a name of the catalogue, a run folder, a model's or a network's file."""
    place = Path(name)
    if os.path.isdir(name) or place.suffix in (".json", ".safetensors"):  # noqa: PTH112 - is_dir fails on a long name
        if options != AS_IT_IS:
            raise ConfigError(
                f"{name} is a finished network and takes no options", code="USAGE", hint="Leave the options out."
            )
        return _stored(place)
    channels, *size = CATALOG[resolve(name)]().input
    height, width = size if options.size is None else pixels(options.size)
    return network(
        name,
        input=(channels if options.channels is None else options.channels, height, width),
        classes=options.classes,
        width=options.width,
        fc=() if options.fc == (0,) else options.fc,
        dropout=options.dropout,
        blocks=options.blocks,
    )


def pixels(size: tuple[int, ...]) -> tuple[int, int]:
    """The height and width that --size gives; ConfigError for more than two numbers."""
    if len(size) not in (1, 2):
        raise ConfigError(
            f"--size has {len(size)} numbers", code="USAGE", hint="Give --size N, or --size HEIGHT WIDTH."
        )
    return size[0], size[-1]


def _stored(place: Path) -> Network:
    file = place / NETWORK if place.is_dir() else place
    if not file.is_file() and (place / MODEL).is_file():  # a model that was pulled is its own description
        file = place / MODEL
    if file.suffix == ".safetensors":
        from verydeep.weights import canonical  # a model's file needs NumPy; a name does not

        return canonical.load(file).network
    try:
        return spec_json.loads(file.read_text())
    except SpecError as error:
        raise SpecError(f"{file}: {error.message}", hint=error.hint) from None
    except (OSError, UnicodeDecodeError) as error:
        detail = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ConfigError(
            f"{file} cannot be read: {detail}",
            code="NET-FILE",
            hint="Name a network, a run folder or a network's file.",
        ) from None
