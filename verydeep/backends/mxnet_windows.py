"""Where MXNet has one window more than the description: when sizes are rounded up, it may begin beyond the map."""

from verydeep.spec import Pool


def axes_beyond(pool: Pool) -> tuple[int, ...]:
    """The axes (0: vertical, 1: horizontal) along which, for some size of map, a last window begins beyond it."""
    kernel = pool.kernel or (1, 1)
    return tuple(
        axis for axis in (0, 1) if pool.rounding == "ceil" and pool.stride[axis] + pool.padding[axis][1] > kernel[axis]
    )
