"""How a classifier becomes a localiser: which layers learn, at which rate, for how long (arXiv:1409.1556, A)."""

from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

from verydeep.errors import ConfigError, choices
from verydeep.localise.head import SHORT, BoxMode
from verydeep.settings.config import Config

Tuned: TypeAlias = Literal["fc", "all"]


@dataclass(frozen=True, slots=True)
class Tuning:
    """The settings of a localiser's training; its crops, scale and colours are those of the classifier's training.

    "fc" lets the first two fully connected layers (fc6 and fc7) and the new last one learn, and keeps the rest as the
    classifier has it, running statistics of batch norm too; "all" lets every layer learn. The paper says what the rate
    is and not how it falls: here along a cosine, to zero.

    Raises:
        ConfigError: a value is out of range.
    """

    boxes: BoxMode = "per-class"
    tune: Tuned = "all"
    epochs: int = 10
    batch: int = 256  # section 3.1
    lr: float = 1e-3  # appendix A
    momentum: float = 0.9
    weight_decay: float = 5e-4
    schedule: Literal["constant", "cosine"] = "cosine"
    clip: float = 0.0  # largest norm of the gradient; 0: unlimited
    scale: tuple[int, int] | None = None  # smallest side S, drawn from [low, high]; None: the classifier's
    flip: Literal["as-classifier", "always", "never"] = "as-classifier"  # "always": half of the images, each epoch
    val: float = 0.1  # share of the images held out, on which the error is watched
    seed: int = 0

    def __post_init__(self) -> None:
        for name, value, known in (
            ("boxes", self.boxes, tuple(SHORT)),
            ("tune", self.tune, ("fc", "all")),
            ("schedule", self.schedule, ("constant", "cosine")),
            ("flip", self.flip, ("as-classifier", "always", "never")),
        ):
            if value not in known:
                raise ConfigError(
                    f"{name} is {value!r}, which is none of the choices",
                    code="OPTION-VALUE",
                    hint=choices(str(value), known),
                )
        self.config(None)

    def config(self, classifier: Config | None) -> Config:
        """All settings of the training, on those of the classifier's where they are known."""
        base = classifier or Config()
        flips = {"as-classifier": base.flip, "always": True, "never": False}
        return base.updated(
            epochs=self.epochs,
            batch=self.batch,
            lr=self.lr,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            schedule=self.schedule,
            clip=self.clip,
            scale=base.scale if self.scale is None else self.scale,
            flip=flips[self.flip],
            val=self.val,
            seed=self.seed,
            optimizer="sgd",
            nesterov=False,
            warmup=0.0,
            precision="float32",
        )

    def to_json(self) -> dict[str, Any]:
        """Plain numbers, words and lists."""
        record = asdict(self)
        return record | {"scale": None if self.scale is None else list(self.scale)}
