"""The learning rate as a pure function of the step, so that a resumed run needs no scheduler's state."""

import math
from typing import assert_never

from verydeep.settings.config import Config


def rate(config: Config, *, step: int, steps: int, epoch: int, drops: int) -> float:
    """The learning rate of step `step` (counted from 0) of `steps`.

    Args:
        config: Gives `lr`, `schedule` and what the schedule needs.
        step: Steps already taken.
        steps: Steps of the whole run.
        epoch: Epochs already finished.
        drops: How often a plateau has lowered the rate so far.
    """
    rise = config.warmup * steps
    match config.schedule:
        case "constant":
            return config.lr
        case "plateau":
            return config.lr * config.factor**drops
        case "steps":
            return config.lr * config.factor ** sum(epoch >= milestone for milestone in config.milestones)
        case "cosine":
            if step < rise:
                return config.lr * (step + 1) / (rise + 1)
            return config.lr * 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1.0, steps - rise)))
        case "one-cycle":
            if step < rise:
                return _between(config, config.rise_from, config.lr * (step + 1) / (rise + 1))
            return _between(config, config.fall_to, config.lr * (steps - step) / max(1.0, steps - rise))
    assert_never(config.schedule)


def _between(config: Config, share: float, rate: float) -> float:
    """A rate between 0 and `lr` as one between `share` of `lr` and `lr`."""
    return share * config.lr + (1 - share) * rate
