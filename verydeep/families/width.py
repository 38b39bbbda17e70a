"""A network made thinner or wider: every convolution's channels times one factor."""

from verydeep.errors import SpecError


def scaled(channels: int, width: float, *, multiple: int = 1) -> int:
    """`channels` times `width`, rounded to a positive multiple of `multiple` (the number of groups)."""
    if not 0 < width <= 64:
        raise SpecError(f"width is a factor above 0 and at most 64, not {width!r}")
    if channels < 1:
        raise SpecError(f"channels must be a whole number of at least 1, not {channels!r}")
    return max(1, round(channels * width / multiple)) * multiple
