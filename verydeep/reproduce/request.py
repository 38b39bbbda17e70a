"""What a reproduction is asked to do: how large, how often, where to, on which machine."""

from dataclasses import dataclass, replace
from pathlib import Path

from verydeep.errors import ConfigError
from verydeep.reproduce.declared import Side
from verydeep.reproduce.scales import Scale
from verydeep.settings.config import Config
from verydeep.settings.recipes import UPRIGHT


@dataclass(frozen=True, slots=True)
class Request:
    """Everything that trainings and passes of one command share."""

    scale: Scale
    seeds: int
    out: Path
    data_root: Path | None = None
    download: bool = False
    device: str = "auto"
    workers: int | None = None  # processes that decode image files; None: the recipe's own
    jobs: int = 1  # trainings and passes at a time, each in a process of its own if there are several

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise ConfigError(
                f"--seeds is {self.seeds}", code="REPRODUCE-SEEDS", hint="Give 1 or more; findings need 3."
            )
        if self.jobs < 1:
            raise ConfigError(f"--jobs is {self.jobs}", code="OPTION-VALUE", hint="Give 1 or more.")

    def config(self, side: Side) -> Config:
        """The settings of a training at S, before network, seed and first weights."""
        config = self.scale.settings[side].updated(data=self.scale.data)
        return self.on_this_machine(config.updated(flip=False) if config.data in UPRIGHT else config)

    def on_this_machine(self, config: Config) -> Config:
        """`config` with the places and the device of this request."""
        own = {} if self.workers is None else {"workers": self.workers}
        return config.updated(data_root=self.data_root, download=self.download, device=self.device, **own)


def with_choices(
    scale: Scale,
    *,
    data: str | None = None,
    epochs: int | None = None,
    test_images: int | None = None,
    crop_images: int | None = None,
) -> Scale:
    """`scale` with what a user chose instead: other data, other numbers of epochs or test images; 0 is all of them."""
    changed = scale
    if data is not None:
        changed = replace(changed, data=data)
    if epochs is not None:
        settings = {side: config.updated(epochs=epochs) for side, config in changed.settings.items()}
        changed = replace(changed, settings=settings)
    if test_images is not None:
        changed = replace(changed, test_images=_all_or(test_images))
    if crop_images is not None:
        changed = replace(changed, crop_images=_all_or(crop_images))
    for option, count in (("--test-images", test_images), ("--crop-images", crop_images)):
        if count is not None and count < 0:
            raise ConfigError(f"{option} is {count}", code="OPTION-VALUE", hint="Give 1 or more; 0 is all of them.")
    return changed


def _all_or(count: int) -> int | None:
    return count or None
