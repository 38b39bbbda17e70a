"""What weights from elsewhere need to become a model, found with them or given: preprocessing and class names."""

import json
from collections.abc import Mapping
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

from verydeep.errors import ConfigError
from verydeep.preprocessing import Preprocessing, from_json
from verydeep.spec import Network
from verydeep.weights import caffe, flaxmodels, imagenet, keras_applications, keras_hub, matconvnet, timm
from verydeep.weights.importing import Imported

PREPROCESSING: Mapping[str, Preprocessing] = {  # of the weights that each has for ImageNet
    "torchvision": imagenet.MEAN_AND_DEVIATION,
    "timm": timm.PREPROCESSING,
    "flaxmodels": flaxmodels.PREPROCESSING,
    "keras_hub": keras_hub.PREPROCESSING,
    "keras": keras_applications.PREPROCESSING,
    "caffe": caffe.PREPROCESSING,
    "matconvnet": matconvnet.PREPROCESSING,
}

HINT = f"Give --preprocessing {', '.join(PREPROCESSING)}, or a JSON file; nothing is guessed."


def preprocessing_of(found: Imported, given: str | None) -> Preprocessing:
    """How images become input: as `given`, a name in `PREPROCESSING` or a JSON file; None: as was found.

    Raises:
        ConfigError: it was not found and is not given, or what is given does not fit the network.
    """
    if given is not None:
        return _preprocessing(given, found.network)
    if found.preprocessing is None:
        raise ConfigError(
            f"nothing tells how images become the input of these weights ({found.format}, {found.network.name})",
            code="PREPROCESS-MISSING",
            hint=HINT,
        )
    return found.preprocessing


def classes_of(found: Imported, file: Path | None) -> tuple[str, ...]:
    """The names of the outputs: the lines of a text file; None: as was found.

    Raises:
        ConfigError: the file cannot be read, or has not one name for each output.
    """
    if file is None:
        return found.classes
    names = tuple(line.strip() for line in _text(file, option="--classes").splitlines() if line.strip())
    if len(names) != found.network.classes or len(set(names)) != len(names):
        raise ConfigError(
            f"{file} has {len(set(names))} different names, and {found.network.name} has {found.network.classes} "
            "outputs",
            code="CLASSES-OTHER",
            hint="Write one name in each line, in the order of the outputs.",
        )
    return names


def _preprocessing(given: str, network: Network) -> Preprocessing:
    if given in PREPROCESSING:
        record, (_, height, width) = PREPROCESSING[given], network.input
        scale = min(height, width) / min(record.size)
        resize = None if record.resize is None else round(record.resize * scale)
        record = replace(record, size=(height, width), resize=resize)
    elif Path(given).suffix == ".json":
        record = _stored(Path(given))
    else:
        near = get_close_matches(given, PREPROCESSING, n=1)
        hint = f"Did you mean {near[0]}?" if near else f"Choose {', '.join(PREPROCESSING)}, or a JSON file."
        raise ConfigError(f"no preprocessing is called {given!r:.60}", code="PREPROCESS-UNKNOWN", hint=hint)
    if (record.channels, *record.size) != network.input:
        raise ConfigError(
            f"{given} makes {record.channels} channels of {record.size[0]}x{record.size[1]}, and {network.name} reads "
            f"{network.input[0]} of {network.input[1]}x{network.input[2]}",
            code="PREPROCESS-OTHER",
            hint="Give one that fits the network.",
        )
    return record


def _stored(file: Path) -> Preprocessing:
    try:
        return from_json(json.loads(_text(file, option="--preprocessing")))
    except (ValueError, RecursionError) as error:
        raise ConfigError(
            f"--preprocessing {file} is not JSON: {error}", code="PREPROCESS-UNKNOWN", hint="Write it as `import` does."
        ) from None


def _text(file: Path, *, option: str) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        detail = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ConfigError(
            f"{option} {file} cannot be read: {detail}", code="OPTION-FILE", hint="Name a file."
        ) from None
