"""The options by which a command names a network, shared by `show`, `compare` and `code`."""

import os
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from verydeep import spec_json
from verydeep.cli.options import WHOLE
from verydeep.errors import ConfigError, SpecError
from verydeep.families.catalog import CATALOG, network, resolve
from verydeep.run_files import NETWORK
from verydeep.spec import Network

Size = Annotated[
    tuple[int, ...] | None, WHOLE, Parameter(help="Pixels of the input: N, or HEIGHT WIDTH.", consume_multiple=True)
]
Channels = Annotated[int | None, WHOLE, Parameter(help="Channels of the input: 1 for grey images.")]
Classes = Annotated[int | None, WHOLE, Parameter(help="Outputs of the last layer.")]
Width = Annotated[float | None, Parameter(help="Factor on the convolutions' channels.")]
Fc = Annotated[
    tuple[int, ...] | None,
    WHOLE,
    Parameter(help="Hidden fully connected features (VGG, AlexNet); 0: one linear layer.", consume_multiple=True),
]
Dropout = Annotated[float | None, Parameter(help="Rate of every dropout layer.")]


def described(
    name: str,
    *,
    size: tuple[int, ...] | None = None,
    channels: int | None = None,
    classes: int | None = None,
    width: float | None = None,
    fc: tuple[int, ...] | None = None,
    dropout: float | None = None,
) -> Network:
    """The network that the options describe: a name of the catalogue, a run folder, or a network's JSON file."""
    place = Path(name)
    if os.path.isdir(name) or place.suffix in (".json", ".safetensors"):  # noqa: PTH112 - is_dir fails on a long name
        if any(option is not None for option in (size, channels, classes, width, fc, dropout)):
            raise ConfigError(
                f"{name} is a finished network and takes no options", code="USAGE", hint="Leave the options out."
            )
        return _stored(place)
    standard = CATALOG[resolve(name)]().input
    height, width_pixels = standard[1:] if size is None else pixels(size)
    return network(
        name,
        input=(standard[0] if channels is None else channels, height, width_pixels),
        classes=classes,
        width=width,
        fc=() if fc == (0,) else fc,
        dropout=dropout,
    )


def pixels(size: tuple[int, ...]) -> tuple[int, int]:
    """The height and width that --size gives; ConfigError for more than two numbers."""
    if len(size) not in (1, 2):
        raise ConfigError(
            f"--size has {len(size)} numbers", code="USAGE", hint="Give --size N, or --size HEIGHT WIDTH."
        )
    return size[0], size[-1]


def _stored(place: Path) -> Network:
    if place.suffix == ".safetensors":
        from verydeep.weights import canonical  # a model's file needs NumPy; a name does not

        return canonical.load(place).network
    file = place / NETWORK if place.is_dir() else place
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
