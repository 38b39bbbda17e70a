"""Everything that decides a training run, in one frozen record: a YAML file, the environment and options fill it.

Two runs with equal records on the same machine give the same bits.
"""

import re
import reprlib
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from verydeep.errors import ConfigError
from verydeep.settings.headings import AUGMENTATION, DATA, MACHINE, MAIN, NETWORK, OPTIMISATION, SEVERAL, UNLISTED

Share = Annotated[float, Field(ge=0.0, lt=1.0)]
Positive = Annotated[int, Field(ge=1, le=1_000_000)]
Count = Annotated[int, Field(ge=0, le=1_000_000)]
Pixels = Annotated[int, Field(ge=1, le=4096)]

_ARCH = re.compile(r"[1-9]\d?x[1-9]\d{0,4}(,[1-9]\d?x[1-9]\d{0,4}){0,99}")


class Config(BaseModel):
    """A complete description of a training run; `recipes` gives them, `updated` changes them."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)

    data: Annotated[str, UNLISTED] = Field(
        default="digits", description="A data set's name (`verydeep list data`) or a folder of class folders."
    )
    data_root: Annotated[Path | None, DATA] = Field(
        default=None, description="Folder of the data set's files [env: VERYDEEP_DATA]."
    )
    download: Annotated[bool, DATA] = Field(default=False, description="Fetch the files if they are missing.")
    bad_images: Annotated[Literal["refuse", "skip"], DATA] = Field(
        default="refuse", description="What to do with unreadable files."
    )
    val: Annotated[float, Field(ge=0.0, lt=0.9), DATA] = Field(
        default=0.1, description="Share of the training images held out for validation; never taken from test."
    )

    recipe: Annotated[str, MAIN] = Field(
        default="auto", description="Named settings (`verydeep list recipes`); auto: what suits the data."
    )
    net: Annotated[str | None, MAIN] = Field(
        default=None, description="A network's name (`verydeep list`); without it, the recipe's own."
    )
    arch: Annotated[str | None, NETWORK] = Field(
        default=None, description="A VGG of your own: CONVSxCHANNELS of each block, as 1x16,1x32,2x64."
    )
    batch_norm: Annotated[bool, NETWORK] = Field(
        default=False, description="With --arch: batch norm after each convolution."
    )
    blocks: Annotated[Annotated[int, Field(ge=1, le=5)] | None, NETWORK] = Field(
        default=None, description="First so many blocks of --net, a column of Table 1."
    )
    width: Annotated[float, Field(gt=0.0, le=64.0), NETWORK] = Field(
        default=1.0, description="Factor on the convolutions' channels."
    )
    fc: Annotated[tuple[Count, ...] | None, SEVERAL, NETWORK] = Field(
        default=None, description="Hidden fully connected features; 0: one linear layer."
    )
    dropout: Annotated[Share | None, NETWORK] = Field(default=None, description="Rate of every dropout layer.")

    size: Annotated[Pixels | None, DATA] = Field(
        default=None, description="Pixels of the square crop that the network reads; without it the images' own size."
    )
    scale: Annotated[tuple[Positive, Positive] | None, AUGMENTATION] = Field(
        default=None,
        description="Smallest side S of the rescaled image, drawn per image from [LOW, HIGH]; without it `size`.",
    )
    crop: Annotated[Literal["random", "center", "random-size"], AUGMENTATION] = Field(
        default="random", description="How the crop is taken in training."
    )
    flip: Annotated[bool, AUGMENTATION] = Field(default=True, description="Mirror half of the training images.")
    turns: Annotated[Literal["random", "alternating"], AUGMENTATION] = Field(
        default="random", description="How flip chooses: by chance each time, or each image every second epoch."
    )
    pad: Annotated[int, Field(ge=0, le=512), AUGMENTATION] = Field(
        default=0, description="Pixels of padding before the random crop."
    )
    border: Annotated[Literal["black", "mirrored"], AUGMENTATION] = Field(
        default="black", description="What the padding shows."
    )
    color: Annotated[float, Field(ge=0.0, le=10.0), AUGMENTATION] = Field(
        default=0.0, description="Standard deviation of the PCA colour shift (the paper: 0.1)."
    )
    normalize: Annotated[Literal["mean-std", "mean"], DATA] = Field(
        default="mean-std", description="What is taken from the pixels: mean and deviation, or the paper's mean only."
    )

    epochs: Annotated[Positive, MAIN] = Field(default=10, description="Passes over the training images.")
    batch: Annotated[int, Field(ge=1, le=1_000_000), MAIN] = Field(
        default=128, description="Images of one step, all processes."
    )
    accumulate: Annotated[Positive, OPTIMISATION] = Field(
        default=1, description="Pieces in which a batch is computed, to save memory."
    )
    optimizer: Annotated[Literal["sgd", "adamw"], OPTIMISATION] = Field(
        default="sgd", description="SGD with momentum, or AdamW."
    )
    lr: Annotated[float, Field(gt=0.0, le=1e3), MAIN] = Field(default=0.01, description="Highest learning rate.")
    momentum: Annotated[Share, OPTIMISATION] = Field(default=0.9, description="Of SGD; AdamW's first coefficient.")
    nesterov: Annotated[bool, OPTIMISATION] = Field(default=False, description="Nesterov's form of momentum.")
    weight_decay: Annotated[float, Field(ge=0.0, le=10.0), OPTIMISATION] = Field(
        default=5e-4, description="L2 multiplier (AdamW: decay)."
    )
    decayed: Annotated[Literal["all", "matrices"], OPTIMISATION] = Field(
        default="all", description="What decays: all, or no biases and batch norms."
    )
    schedule: Annotated[Literal["constant", "plateau", "steps", "cosine", "one-cycle"], OPTIMISATION] = Field(
        default="constant", description="How the learning rate changes."
    )
    warmup: Annotated[Share, OPTIMISATION] = Field(
        default=0.0, description="Share of the run in which the rate rises (cosine, one-cycle)."
    )
    rise_from: Annotated[Share, OPTIMISATION] = Field(
        default=0.0, description="Share of the highest rate that one-cycle begins with."
    )
    fall_to: Annotated[Share, OPTIMISATION] = Field(
        default=0.0, description="Share of the highest rate that one-cycle ends with."
    )
    milestones: Annotated[tuple[Positive, ...], SEVERAL, OPTIMISATION] = Field(
        default=(), description="Epochs after which the rate drops (steps)."
    )
    factor: Annotated[float, Field(gt=0.0, lt=1.0), OPTIMISATION] = Field(
        default=0.1, description="What a drop multiplies the rate by."
    )
    drops: Annotated[Count, OPTIMISATION] = Field(default=3, description="Most drops of plateau.")
    plateau: Annotated[Positive, OPTIMISATION] = Field(
        default=3, description="Epochs without a better validation accuracy before a drop (plateau)."
    )
    last_plateau: Annotated[Literal["goes-on", "ends"], OPTIMISATION] = Field(
        default="goes-on", description="What the plateau after the last drop does to the run."
    )
    patience: Annotated[Count, OPTIMISATION] = Field(
        default=0, description="Stop after so many epochs without a better validation; 0: never."
    )
    smoothing: Annotated[Share, OPTIMISATION] = Field(default=0.0, description="Label smoothing.")
    clip: Annotated[float, Field(ge=0.0), OPTIMISATION] = Field(
        default=0.0, description="Largest norm of the gradient; 0: unlimited."
    )
    ema: Annotated[Share, OPTIMISATION] = Field(
        default=0.0, description="Decay of the running average of the weights; 0: none."
    )
    lookahead: Annotated[Count, OPTIMISATION] = Field(
        default=0, description="Steps between two pulls of the weights to their slow average; 0: none."
    )
    norm_bias_rate: Annotated[float, Field(gt=0.0, le=1e3), OPTIMISATION] = Field(
        default=1.0, description="Factor on the rate of batch norm's biases."
    )
    norm_scale: Annotated[Literal["learned", "one"], OPTIMISATION] = Field(
        default="learned", description="Batch norm's scales: learned, or always 1."
    )
    logit_scale: Annotated[float, Field(gt=0.0, le=1.0), OPTIMISATION] = Field(
        default=1.0, description="Train as if the logits were multiplied by this: the last layer begins and moves less."
    )
    init: Annotated[Literal["he", "torchvision", "glorot", "paper", "caffe", "identity"], NETWORK] = Field(
        default="he", description="Rule of the initial weights."
    )
    whiten: Annotated[bool, NETWORK] = Field(
        default=False, description="First kernels from the training images' patches, which they whiten; not learned."
    )
    grow_from: Annotated[Path | None, NETWORK] = Field(
        default=None, description="A run of net A whose layers start this net (section 3.1)."
    )
    start_from: Annotated[Path | None, NETWORK] = Field(
        default=None, description="A run whose weights, all of them, this one begins with."
    )

    seed: Annotated[int, Field(ge=0, lt=2**32), MAIN] = Field(default=0, description="Of everything drawn at random.")
    precision: Annotated[Literal["auto", "float32", "tf32", "bf16"], MACHINE] = Field(
        default="float32",
        description="Of the products; weights stay float32. auto: the quicker of float32 and bf16 in a trial at start; "
        "tf32: float32, on a GPU with 10-bit mantissas.",
    )
    layout: Annotated[Literal["channels_first", "channels_last"], MACHINE] = Field(
        default="channels_last", description="Of maps in memory."
    )
    device: Annotated[str, MAIN] = Field(default="auto", description="auto, cpu, cuda or cuda:N.")
    compile: Annotated[Literal["off", "default", "reduce-overhead", "max-autotune"], MACHINE] = Field(
        default="off", description="torch.compile's mode; the last two use CUDA graphs. Compiling takes a minute."
    )
    algorithms: Annotated[Literal["default", "fastest"], MACHINE] = Field(
        default="default", description="Of convolutions on a GPU: cuDNN's choice, or the fastest of a trial at start."
    )
    workers: Annotated[int, Field(ge=0, le=256), MACHINE] = Field(
        default=2, description="Processes that decode image files."
    )
    checkpoint_every: Annotated[Count, MACHINE] = Field(
        default=0, description="Steps between checkpoints; 0: by minutes only."
    )
    checkpoint_minutes: Annotated[float, Field(gt=0.0), MACHINE] = Field(
        default=2.0, description="Most minutes between checkpoints."
    )

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_for_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        # Otherwise YAML's `epochs: yes` would be one epoch.
        is_truth = any(isinstance(one, bool) for one in (value if isinstance(value, list | tuple) else (value,)))
        if is_truth and cls.model_fields[info.field_name or ""].annotation is not bool:
            raise ValueError("true and false are not among its values")
        return value

    @field_validator("arch")
    @classmethod
    def _of_blocks(cls, value: str | None) -> str | None:
        if value is not None and not _ARCH.fullmatch(value):
            raise ValueError("it should be CONVSxCHANNELS of each block, as 1x16,1x32,2x64")
        return value

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
        """The record as the text of `config.yaml`; `sources.from_yaml` gives back an equal one."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)

    def arch_blocks(self) -> tuple[tuple[int, int], ...]:
        """`arch` as (convolutions, channels) of each block; none without it."""
        pairs = (block.split("x") for block in self.arch.split(",")) if self.arch is not None else ()
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
            raise ConfigError(f"{prefix}there is no option {_shown(key)}", code="OPTION-UNKNOWN", hint=hint)
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        raise out_of_range(error, where=where) from None


def out_of_range(error: ValidationError, *, where: str = "") -> ConfigError:
    """What a user reads when pydantic refuses a value: the option, the value, the range and the option's meaning."""
    first = error.errors(include_url=False)[0]
    option = str(first["loc"][0])
    detail = first["msg"].removeprefix("Value error, ").replace("Input should", "it should")
    prefix = f"{where}: " if where else ""
    return ConfigError(
        f"{prefix}{option} is {_shown(first['input'])}: {detail}", code="OPTION-VALUE", hint=_meaning(option)
    )


def _meaning(option: str) -> str:
    field = Config.model_fields.get(option)
    return f"{option}: {field.description}" if field and field.description else ""


def _shown(value: Any) -> str:
    """The value, however long or deeply nested, in at most 60 characters."""
    text = _REPR.repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


_REPR = reprlib.Repr()
_REPR.maxlevel, _REPR.maxstring, _REPR.maxother = 2, 60, 60
