"""Where a run's settings come from: a YAML file, then variables of the environment, then options."""

from difflib import get_close_matches
from os import environ
from pathlib import Path
from typing import Any

import yaml

from verydeep.errors import ConfigError
from verydeep.settings.config import Config, checked

LONGEST_FILE = 100_000  # bytes; all the settings take 2,000
ONE_A_LINE = "Write one `option: value` a line, as in `lr: 0.1`."

DISPLACED = {  # what a setting makes void where it was set farther away: in a file, when an option is given
    "net": ("arch", "batch_norm"),
    "arch": ("net", "blocks"),
    "schedule": ("milestones",),
}

_PREFIX = "VERYDEEP_"
_LISTS = ("fc", "scale", "milestones")


def from_yaml(path: Path) -> dict[str, Any]:
    """The fields that a YAML file sets.

    Raises:
        ConfigError: the file cannot be read, is not a mapping, or sets something unknown.
    """
    try:
        with path.open("rb") as file:
            text = file.read(LONGEST_FILE + 1)
        values = yaml.safe_load(text.decode("utf-8-sig")) if len(text) <= LONGEST_FILE else None
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read: {error.strerror}", code="CONFIG-FILE", hint="Name a YAML file of options."
        ) from None
    except (UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        detail = " ".join(str(error).split())
        raise ConfigError(f"{path} is not YAML: {detail}", code="CONFIG-FILE", hint=ONE_A_LINE) from None
    if len(text) > LONGEST_FILE:
        raise ConfigError(f"{path} has more than {LONGEST_FILE:,} bytes", code="CONFIG-FILE", hint=ONE_A_LINE)
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"{path} holds no options", code="CONFIG-FILE", hint=ONE_A_LINE)
    checked(values, where=str(path))
    return values


def from_environment() -> dict[str, Any]:
    """The fields that variables set: VERYDEEP_LR for `lr`, and VERYDEEP_DATA for `data_root`.

    Raises:
        ConfigError: a value out of range, or a variable whose name is nearly that of an option.
    """
    variables = {_variable(field): field for field in Config.model_fields if field != "data"}
    found: dict[str, Any] = {}
    for name, value in environ.items():
        if name in variables and value:
            field = variables[name]
            found[field] = value.strip("[] ").replace(",", " ").split() if field in _LISTS else value
            checked({field: found[field]}, where=name)
        elif name.startswith(_PREFIX) and name not in variables:
            _refuse_misspelt(name)
    return found


def laid_over(farther: dict[str, Any], nearer: dict[str, Any]) -> dict[str, Any]:
    """The settings of two sources, of which the nearer one counts."""
    void = {name for setting in nearer for name in DISPLACED.get(setting, ())}
    return {name: value for name, value in farther.items() if name not in void} | nearer


def _variable(field: str) -> str:
    return "VERYDEEP_DATA" if field == "data_root" else f"{_PREFIX}{field.upper()}"


def _refuse_misspelt(name: str) -> None:
    # Other names with our prefix are left alone: sites have variables of their own, such as VERYDEEP_HOME.
    near = get_close_matches(name.removeprefix(_PREFIX).lower(), Config.model_fields, n=1, cutoff=0.75)
    if near:
        hint = f"Did you mean {_variable(near[0])}?"
        raise ConfigError(f"there is no option for the variable {name}", code="OPTION-UNKNOWN", hint=hint)
