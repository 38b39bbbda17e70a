"""How large an experiment is made: the paper's own pixels on ImageNet, or an eighth of them on small images."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from verydeep.errors import ConfigError, choices
from verydeep.reproduce.declared import CROP, JITTERED, Side, TestSides, Trained, sides_of_test
from verydeep.settings.config import Config
from verydeep.settings.recipes import recipe


@dataclass(frozen=True, slots=True)
class Scale:
    """What stands for the paper's pixels, images and settings."""

    name: str
    divisor: int  # of every length in pixels
    data: str  # a data set's name or a folder
    settings: Mapping[Side, Config]  # of a training at S; data, network, seed and first weights come on top
    train_images: int  # of the data set, for the estimate of what a training costs
    test_images: int | None  # that are looked at, None: all
    crop_images: int | None  # the same for tables in which 150 crops of each are
    known_test_images: int  # of the data set, for the estimate
    transfer: tuple[str, ...]  # data sets of Table 11: names, or folders below --data-root

    def pixels(self, length: int) -> int:
        """What stands for so many of the paper's pixels."""
        return length // self.divisor

    def test_sides(self, trained: Trained, sides: TestSides) -> tuple[int, ...]:
        """The scales Q in this scale's pixels."""
        return tuple(map(self.pixels, sides_of_test(trained, sides)))

    def run_name(self, trained: Trained) -> str:
        """``D-32``, or ``D-32-64`` where S is drawn: the folder's name, less the seed."""
        return "-".join([trained.net, *(str(self.pixels(side)) for side in _sides(trained.side))])

    def written(self, side: Side) -> str:
        """S as the tables have it: ``32`` or ``[32;64]``."""
        pixels = [str(self.pixels(length)) for length in _sides(side)]
        return pixels[0] if len(pixels) == 1 else f"[{';'.join(pixels)}]"


def _sides(side: Side) -> tuple[int, ...]:
    return (256, 512) if side == JITTERED else (int(side),)


def scale(name: str) -> Scale:
    """The scale of this name; ConfigError with the nearest name where there is none."""
    if name not in SCALES:
        raise ConfigError(f"no scale is called {name!r}", code="REPRODUCE-SCALE", hint=choices(name, SCALES))
    return agreed(SCALES[name]())


def agreed(scale: Scale) -> Scale:
    """`scale` itself; ConfigError where its recipes read other pixels than its divisor says."""
    for side in ("256", "384", JITTERED):
        config = scale.settings[side]
        expected = tuple(map(scale.pixels, _sides(side)))
        if config.size != scale.pixels(CROP) or config.scale != (expected[0], expected[-1]):
            raise ConfigError(
                f"recipe {config.recipe} reads {config.size} pixels of images of {config.scale}, and scale "
                f"{scale.name} needs {scale.pixels(CROP)} of ({expected[0]}, {expected[-1]})",
                code="REPRODUCE-SCALE",
                hint="Make verydeep/settings/recipes.py and verydeep/reproduce/scales.py agree.",
            )
    return scale


def imagenet() -> Scale:
    """The paper's own."""
    return Scale(
        name="imagenet",
        divisor=1,
        data="imagenet",
        settings={"256": recipe("paper"), "384": recipe("paper-384"), JITTERED: recipe("paper-jitter")},
        train_images=1_281_167,
        test_images=None,
        crop_images=None,
        known_test_images=50_000,
        transfer=("voc2007", "voc2012", "caltech101", "caltech256"),
    )


def laptop() -> Scale:
    """An eighth of every length, and thin nets of three blocks: for images of 32x32 pixels, on any machine."""
    return Scale(
        name="laptop",
        divisor=8,
        data="cifar10-jpeg",
        settings={"256": recipe("laptop"), "384": recipe("laptop-48"), JITTERED: recipe("laptop-jitter")},
        train_images=50_000,
        test_images=2_000,
        crop_images=500,
        known_test_images=10_000,
        transfer=("imagenette-mini",),
    )


SCALES: dict[str, Callable[[], Scale]] = {"laptop": laptop, "imagenet": imagenet}
