"""Everything that decides a training run, in one frozen record: a YAML file, the environment and options fill it.

Two runs with equal records on the same machine give the same bits.
"""

import re
from difflib import get_close_matches
from os import environ
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from cyclopts import Parameter
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from verydeep.errors import ConfigError

Share = Annotated[float, Field(ge=0.0, lt=1.0)]
Positive = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]
SEVERAL = Parameter(consume_multiple=True)  # on the command line: --fc 512 512

_ARCH = re.compile(r"\d+x\d+(,\d+x\d+)*")


class Config(BaseModel):
    """A complete description of a training run; `recipes` gives them, `updated` changes them."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)

    data: str = Field(
        default="digits", description="A data set's name (`verydeep list data`) or a folder of class folders."
    )
    data_root: Path | None = Field(default=None, description="Folder of the data set's files [env: VERYDEEP_DATA].")
    download: bool = Field(default=False, description="Fetch the files if they are missing.")
    bad_images: Literal["refuse", "skip"] = Field(default="refuse", description="What to do with unreadable files.")
    val: Annotated[float, Field(ge=0.0, lt=0.9)] = Field(
        default=0.1, description="Share of the training images held out for validation; never taken from test."
    )

    recipe: str = Field(
        default="auto", description="Named settings (`verydeep list recipes`); auto: what suits the data."
    )
    net: str | None = Field(
        default=None, description="A network's name (`verydeep list`); without it, the recipe's own."
    )
    arch: str | None = Field(
        default=None, description="A VGG of your own: CONVSxCHANNELS of each block, as 1x16,1x32,2x64."
    )
    batch_norm: bool = Field(default=False, description="With --arch: batch norm after each convolution.")
    width: Annotated[float, Field(gt=0.0, le=64.0)] = Field(
        default=1.0, description="Factor on the convolutions' channels."
    )
    fc: Annotated[tuple[Count, ...] | None, SEVERAL] = Field(
        default=None, description="Hidden fully connected features; 0: one linear layer."
    )
    dropout: Share | None = Field(default=None, description="Rate of every dropout layer.")

    size: Annotated[int, Field(ge=1, le=4096)] | None = Field(
        default=None, description="Pixels of the square crop that the network reads; without it the images' own size."
    )
    scale: tuple[Positive, Positive] | None = Field(
        default=None,
        description="Smallest side S of the rescaled image, drawn per image from [LOW, HIGH]; without it `size`.",
    )
    crop: Literal["random", "center", "random-size"] = Field(
        default="random", description="How the crop is taken in training."
    )
    flip: bool = Field(default=True, description="Mirror half of the training images.")
    pad: Annotated[int, Field(ge=0, le=512)] = Field(default=0, description="Pixels of padding before the random crop.")
    color: Annotated[float, Field(ge=0.0, le=10.0)] = Field(
        default=0.0, description="Standard deviation of the PCA colour shift (the paper: 0.1)."
    )
    normalize: Literal["mean-std", "mean"] = Field(
        default="mean-std", description="What is taken from the pixels: mean and deviation, or the paper's mean only."
    )

    epochs: Positive = Field(default=10, description="Passes over the training images.")
    batch: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        default=128, description="Images of one step, all processes."
    )
    accumulate: Positive = Field(default=1, description="Pieces in which a batch is computed, to save memory.")
    optimizer: Literal["sgd", "adamw"] = Field(default="sgd", description="SGD with momentum, or AdamW.")
    lr: Annotated[float, Field(gt=0.0, le=1e3)] = Field(default=0.01, description="Highest learning rate.")
    momentum: Share = Field(default=0.9, description="Of SGD; AdamW's first coefficient.")
    nesterov: bool = Field(default=False, description="Nesterov's form of momentum.")
    weight_decay: Annotated[float, Field(ge=0.0, le=10.0)] = Field(
        default=5e-4, description="L2 multiplier (AdamW: decay)."
    )
    decayed: Literal["all", "matrices"] = Field(
        default="all", description="What decays: all, or no biases and batch norms."
    )
    schedule: Literal["constant", "plateau", "steps", "cosine", "one-cycle"] = Field(
        default="constant", description="How the learning rate changes."
    )
    warmup: Share = Field(default=0.0, description="Share of the run in which the rate rises (cosine, one-cycle).")
    milestones: Annotated[tuple[Positive, ...], SEVERAL] = Field(
        default=(), description="Epochs after which the rate drops (steps)."
    )
    factor: Annotated[float, Field(gt=0.0, lt=1.0)] = Field(
        default=0.1, description="What a drop multiplies the rate by."
    )
    drops: Count = Field(default=3, description="Most drops of plateau.")
    plateau: Positive = Field(
        default=3, description="Epochs without a better validation accuracy before a drop (plateau)."
    )
    patience: Count = Field(default=0, description="Stop after so many epochs without a better validation; 0: never.")
    smoothing: Share = Field(default=0.0, description="Label smoothing.")
    clip: Annotated[float, Field(ge=0.0)] = Field(
        default=0.0, description="Largest norm of the gradient; 0: unlimited."
    )
    ema: Share = Field(default=0.0, description="Decay of the running average of the weights; 0: none.")
    init: str = Field(default="he", description="Initial weights: he, torchvision, glorot, paper, caffe.")
    grow_from: Path | None = Field(
        default=None, description="A run of net A whose layers start this net (section 3.1)."
    )

    seed: Annotated[int, Field(ge=0, lt=2**32)] = Field(default=0, description="Of everything drawn at random.")
    precision: Literal["float32", "bf16"] = Field(
        default="float32", description="Of the products; weights stay float32."
    )
    layout: Literal["channels_first", "channels_last"] = Field(
        default="channels_last", description="Of maps in memory."
    )
    device: str = Field(default="auto", description="auto, cpu, cuda or cuda:N.")
    workers: Annotated[int, Field(ge=0, le=256)] = Field(default=2, description="Processes that decode image files.")
    checkpoint_every: Count = Field(default=0, description="Steps between checkpoints; 0: by minutes only.")
    checkpoint_minutes: Annotated[float, Field(gt=0.0)] = Field(
        default=2.0, description="Most minutes between checkpoints."
    )
    allow_data_change: bool = Field(default=False, description="Resume although the data set has changed.")

    @field_validator("fc")
    @classmethod
    def _no_hidden_layer(cls, value: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if value == (0,):
            return ()
        if value is not None and 0 in value:
            raise ValueError("a hidden layer has at least one feature; a single 0 means no hidden layer")
        return value

    def updated(self, **changes: Any) -> "Config":
        """This record with some fields changed; ConfigError names a field that is unknown or out of range."""
        return checked({**self.model_dump(), **changes})

    def to_yaml(self) -> str:
        """The record as the text of `config.yaml`; `from_yaml` gives back an equal one."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)

    def blocks(self) -> tuple[tuple[int, int], ...]:
        """`arch` as (convolutions, channels) of each block."""
        if self.arch is None or not _ARCH.fullmatch(self.arch):
            raise ConfigError(
                f"arch {self.arch!r} is not CONVSxCHANNELS of each block",
                code="ARCH",
                hint="Write it as 1x16,1x32,2x64.",
            )
        pairs = (block.split("x") for block in self.arch.split(","))
        return tuple((int(convolutions), int(channels)) for convolutions, channels in pairs)


def checked(values: dict[str, Any], *, where: str = "") -> Config:
    """`values` as a Config.

    Args:
        values: Fields by name; what is missing has the record's default.
        where: The file or variable that the values come from, for the error text.

    Raises:
        ConfigError: an unknown field (with the nearest name), or a value out of range (with the range).
    """
    prefix = f"{where}: " if where else ""
    for key in values:
        if key not in Config.model_fields:
            near = get_close_matches(str(key), Config.model_fields, n=1)
            hint = f"Did you mean {near[0]}?" if near else "`verydeep train --help` lists the options."
            raise ConfigError(f"{prefix}there is no option {key!r}", code="OPTION-UNKNOWN", hint=hint)
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        raise out_of_range(error, where=where) from None


def out_of_range(error: ValidationError, *, where: str = "") -> ConfigError:
    """What a user reads when pydantic refuses a value: the option, the value, the range and the option's meaning."""
    first = error.errors(include_url=False)[0]
    option = str(first["loc"][0])
    detail = first["msg"][0].lower() + first["msg"][1:]
    prefix = f"{where}: " if where else ""
    return ConfigError(
        f"{prefix}{option} is {_shown(first['input'])}: {detail}", code="OPTION-VALUE", hint=_meaning(option)
    )


def from_yaml(path: Path) -> dict[str, Any]:
    """The fields that a YAML file sets.

    Raises:
        ConfigError: the file cannot be read, is not a mapping, or sets something unknown.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        detail = " ".join(str(error).split())
        raise ConfigError(
            f"{path} cannot be read as YAML: {detail}", code="CONFIG-FILE", hint="Write one `option: value` a line."
        ) from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(
            f"{path} holds no options", code="CONFIG-FILE", hint="Write one `option: value` a line, as in `lr: 0.1`."
        )
    checked(values, where=str(path))
    return values


def from_environment() -> dict[str, Any]:
    """The fields that variables set: VERYDEEP_LR for `lr`, and VERYDEEP_DATA for `data_root`."""
    found: dict[str, Any] = {}
    for field in Config.model_fields:
        name = "VERYDEEP_DATA" if field == "data_root" else f"VERYDEEP_{field.upper()}"
        if field != "data" and environ.get(name):
            found[field] = yaml.safe_load(environ[name]) if field in _LISTS else environ[name]
            checked({field: found[field]}, where=name)
    return found


_LISTS = ("fc", "scale", "milestones")


def _meaning(option: str) -> str:
    field = Config.model_fields.get(option)
    return f"{option}: {field.description}" if field and field.description else ""


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
