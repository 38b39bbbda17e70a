"""Settings that cannot both be meant: refused with both sides named, before anything is read."""

from collections.abc import Iterator

from verydeep.errors import ConfigError
from verydeep.settings.config import Config


def agreed(config: Config) -> Config:
    """`config` itself; ConfigError OPTIONS-DISAGREE where two of its settings contradict each other."""
    for message, hint in _contradictions(config):
        raise ConfigError(message, code="OPTIONS-DISAGREE", hint=hint)
    return config


def _contradictions(config: Config) -> Iterator[tuple[str, str]]:
    """What disagrees, and what to do about it."""
    if config.net is not None and config.arch is not None:
        yield f"net {config.net} and arch {config.arch} are two networks", "Give --net or --arch."
    if config.net is not None and config.batch_norm:
        yield f"batch_norm belongs to arch, and net is {config.net}", "Name a network that has it: --net vgg11_bn."
    if config.blocks is not None and config.net is None:
        yield f"blocks {config.blocks} belongs to net, and there is none", "Give --net, a column of Table 1."
    if config.start_from is not None:
        yield from _second_beginnings(config, f"start_from {config.start_from.name} gives all weights")
    if config.accumulate > config.batch:
        pieces = f"accumulate {config.accumulate} is more pieces than the images of batch {config.batch}"
        yield pieces, "Give --accumulate that is at most --batch."
    if config.scale is not None:
        low, high = config.scale
        if low > high:
            yield f"scale has the lowest side {low} above the highest {high}", "Give --scale LOW HIGH."
        if config.size is not None and low < config.size:
            yield f"scale {low} to {high} does not hold a crop of size {config.size}", "Give --scale with size <= LOW."
    if config.optimizer == "sgd" and config.nesterov and not config.momentum:
        yield "nesterov is a form of momentum, and momentum is 0", "Give --momentum 0.9, or --no-nesterov."
    if config.logit_scale != 1.0 and config.optimizer != "sgd":
        yield "logit_scale is worked out for optimizer sgd, and optimizer is adamw", "Give --logit-scale 1."
    if config.schedule == "steps" and not config.milestones:
        yield "schedule steps has no milestones", "Give --milestones, the epochs after which the rate drops."
    if config.schedule != "steps" and config.milestones:
        after = " ".join(map(str, config.milestones))
        yield f"milestones {after} belong to schedule steps, and schedule is {config.schedule}", "Add --schedule steps."
    if not config.val:
        if config.patience:
            yield f"patience {config.patience} needs validation images, and val is 0", "Give --val 0.1."
        if config.schedule == "plateau":
            yield "schedule plateau needs validation images, and val is 0", "Give --val 0.1."


def _second_beginnings(config: Config, gives: str) -> Iterator[tuple[str, str]]:
    """What else would decide the first weights, which `gives` says are a run's."""
    if config.grow_from is not None:
        yield f"{gives}, and grow_from {config.grow_from.name} some", "Give --start-from or --grow-from."
    if config.whiten:
        yield f"{gives}, and whiten would take the first kernels from the images", "Add --no-whiten."
    if config.logit_scale != 1.0:
        yield f"{gives}, and logit_scale {config.logit_scale:g} would shrink the last layer", "Give --logit-scale 1."
