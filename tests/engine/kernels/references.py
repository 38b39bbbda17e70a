"""What the kernels should compute, in float64 and plain NumPy; maps are (n, h, w, c), weights (k, c / groups, i, j)."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

Array = np.ndarray


def rounding(terms: int) -> float:
    """How far a float32 sum of so many terms may be off, in units of the largest: half a bit each, up or down."""
    return max(2e-6, terms**0.5 * 2.0**-24)


def convolve(x: Array, weights: Array, *, stride=(1, 1), dilation=(1, 1), padding=(0, 0, 0, 0), groups=1) -> Array:
    """A convolution, one matrix product for each place in the window."""
    top, bottom, left, right = padding
    x = np.pad(np.asarray(x, np.float64), ((0, 0), (top, bottom), (left, right), (0, 0)))
    k, c, rows, columns = weights.shape
    h = (x.shape[1] - dilation[0] * (rows - 1) - 1) // stride[0] + 1
    w = (x.shape[2] - dilation[1] * (columns - 1) - 1) // stride[1] + 1
    y = np.zeros((len(x), h, w, k))
    for group in range(groups):
        out, into = slice(group * k // groups, (group + 1) * k // groups), slice(group * c, (group + 1) * c)
        for i in range(rows):
            for j in range(columns):
                seen = x[:, i * dilation[0] :, j * dilation[1] :, into][:, :: stride[0], :: stride[1]][:, :h, :w]
                y[..., out] += seen @ weights[out, :, i, j].T.astype(np.float64)
    return y


def pool(x: Array, *, pooling: str, kernel, stride, begin, windows) -> Array:
    """The largest or the mean of every window; what lies outside of the map does not count."""
    x = np.asarray(x, np.float64)
    n, c = x.shape[0], x.shape[3]
    y = np.empty((n, *windows, c))
    for i in range(windows[0]):
        for j in range(windows[1]):
            top, left = i * stride[0] - begin[0], j * stride[1] - begin[1]
            seen = x[:, max(top, 0) : top + kernel[0], max(left, 0) : left + kernel[1]]
            y[:, i, j] = seen.max((1, 2)) if pooling == "max" else seen.mean((1, 2))
    return y


def pool_pairs(y: Array, *, rounding: str) -> Array:
    """The largest of 2x2 windows; a last row or column that has no partner is dropped or pooled alone."""
    windows = tuple((size + (rounding == "ceil")) // 2 for size in y.shape[1:3])
    return pool(y, pooling="max", kernel=(2, 2), stride=(2, 2), begin=(0, 0), windows=windows)


def lrn(x: Array, *, size: int, alpha: float, beta: float, k: float) -> Array:
    """Krizhevsky's normalisation over neighbouring channels (NIPS 2012, section 3.3)."""
    x = np.asarray(x, np.float64)
    squares = np.pad(x**2, ((0, 0), (0, 0), (0, 0), (size // 2, size // 2)))
    return x / (k + alpha * sliding_window_view(squares, size, axis=-1).sum(-1)) ** beta


def bfloat16(values: Array) -> Array:
    """Float32 rounded to 8 significant bits, ties to even, as bits."""
    bits = np.asarray(values, np.float32).view(np.uint32).astype(np.uint64)
    rounded = ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)
    return np.where(np.isnan(values), np.uint16(0x7FC0), rounded).astype(np.uint16)


def widened(bits: Array) -> Array:
    """The float32 values of bfloat16 bits."""
    return (bits.astype(np.uint32) << 16).view(np.float32)
