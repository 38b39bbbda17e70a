"""What an optional part needs installed: imported when it is used, and if it is missing one line says what to run."""

from importlib import import_module
from types import ModuleType

from verydeep.errors import ConfigError

# Extras of pyproject.toml, except MXNet, which wants an older NumPy than all others.
INSTALL = {
    "pytorch": "pip install torch torchvision",
    "keras": "pip install 'verydeep[keras]'",
    "flax": "pip install 'verydeep[flax]'",
    "mxnet": "scripts/mxnet-env, which makes an environment of its own for it",
    "onnx": "pip install 'verydeep[onnx]'",
    "openvino": "pip install 'verydeep[openvino]'",
    "executorch": "pip install 'verydeep[executorch]'",
    "timm": "pip install timm",
    "hdf5": "pip install 'verydeep[hdf5]'",
    "scipy": "pip install scipy",
    "hub": "pip install 'verydeep[hub]'",
}


def load(module: str, *, extra: str) -> ModuleType:
    """The module of this package that needs what the `extra` installs.

    Raises:
        ConfigError: code EXTRA-MISSING; what is not installed and the command that installs it.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "verydeep":
            raise
        raise ConfigError(
            f"this needs {error.name}, which is not installed", code="EXTRA-MISSING", hint=f"Run: {INSTALL[extra]}"
        ) from None
