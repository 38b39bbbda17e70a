"""The mean of the posteriors of several networks (arXiv:1409.1556, section 4.4)."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from verydeep.errors import ConfigError
from verydeep.evaluation.metrics import Member
from verydeep.evaluation.posteriors import Posteriors
from verydeep.evaluation.protocol import said


def fuse(parts: Sequence[Posteriors]) -> Posteriors:
    """The mean of posteriors of the same images; each run counts the same, also one that was fused before.

    Raises:
        ConfigError: code FUSE-CLASSES, the lists of classes differ; FUSE-IMAGES, the images or their labels do;
            FUSE-TWICE, a run is there twice by the same protocol.
    """
    first, *others = parts
    for other in others:
        refuse_other_classes(first.classes, other.classes, of=named(first), beside=named(other))
        refuse_other_images(first.images, other.images, of=named(first), beside=named(other))
    members = tuple(tested for part in parts for tested in part.members)
    refuse_twice(members)
    runs = [len(part.members) for part in parts]
    return replace(
        first,
        array=sum(part.array * count for part, count in zip(parts, runs, strict=True)) / sum(runs),
        engine=", ".join(dict.fromkeys(part.engine for part in parts)),
        members=members,
    )


def refuse_twice(members: Sequence[Member]) -> None:
    """Raise ConfigError, code FUSE-TWICE, where a run is there twice by the same protocol; paths are not followed."""
    seen: set[Member] = set()
    for member in members:
        same = replace(member, run=str(Path(member.run).absolute()))
        if same in seen:
            how = said(member.protocol, scales=member.scales, flip=member.flip)
            raise ConfigError(
                f"{member.run} by {how}, is there twice, and would count twice",
                code="FUSE-TWICE",
                hint="Name each run, and each file of --save that holds it, once.",
            )
        seen.add(same)


def named(part: Posteriors) -> str:
    """The runs that posteriors come from, for messages."""
    return " and ".join(tested.run for tested in part.members)


def refuse_other_classes(first: tuple[str, ...], other: tuple[str, ...], *, of: str, beside: str) -> None:
    """Raise ConfigError, code FUSE-CLASSES, unless both have the same classes in the same order."""
    if first == other:
        return
    if len(first) != len(other):
        difference = f"{len(first)} and {len(other)} classes"
    else:
        place = next(place for place, (one, two) in enumerate(zip(first, other, strict=True)) if one != two)
        difference = f"class {place} is {first[place]!r} and {other[place]!r}"
    raise ConfigError(
        f"{of} and {beside} cannot be fused: {difference}",
        code="FUSE-CLASSES",
        hint="Fuse runs that tell the same classes apart, listed in the same order.",
    )


def refuse_other_images(first: str, other: str, *, of: str, beside: str) -> None:
    """Raise ConfigError, code FUSE-IMAGES, unless both are the fingerprint of the same images."""
    if first != other:
        raise ConfigError(
            f"{of} and {beside} cannot be fused: they were tested on other images, or with other labels",
            code="FUSE-IMAGES",
            hint="Evaluate both on the same data and --split.",
        )
