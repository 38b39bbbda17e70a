"""The one image decoder: whatever reads an image (training, evaluation, prediction, serving) reads it here.

Pillow only: torchvision.io crashed the process in 210 of 3,000 tries on damaged files, Pillow in none of 30,000.

| the file holds                   | the network sees                                                        |
|----------------------------------|-------------------------------------------------------------------------|
| an EXIF orientation              | the image upright; an invalid orientation is ignored                    |
| 8-bit grey, black and white      | the same grey, 0..255                                                   |
| 16-bit grey                      | value / 257, rounded (Pillow and ImageFolder would clip at 255)         |
| 16-bit RGB                       | the high byte of each value                                             |
| RGB, palette, CMYK, YCbCr        | RGB as Pillow converts it (CMYK in JPEG is Adobe's inverted one)        |
| transparency in any form         | the image laid on white                                                 |
| several frames                   | the first frame                                                         |
| 32-bit integer, float, LAB       | refused: their range of values is not in the file                       |
| an ICC profile                   | ignored                                                                 |

Colour becomes grey by ITU-R 601 luma; grey becomes colour by repetition.
"""

import io
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from verydeep.errors import ConfigError, DataError

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")  # by content, never by the name of the file
PIXEL_LIMIT = 89_000_000  # a refusal, just below the 89.5 million pixels from which Pillow only warns
WHITE = (255, 255, 255, 255)

GREY_MODES = ("1", "L")
COLOR_MODES = ("RGB", "RGBX", "CMYK", "YCbCr")
ALPHA_MODES = ("LA", "PA", "RGBA", "P")
GREY_16_MODES = ("I;16", "I;16B", "I;16L", "I;16N")

EXIF_ORIENTATION = 0x0112
LYING = (5, 6, 7, 8)  # orientations that exchange height and width
TIFF_BITS_PER_SAMPLE = 258
TIFF_PHOTOMETRIC = 262

UPRIGHT: dict[int, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {  # EXIF 2.3, tag 274: how to undo each one
    2: lambda image: image[:, ::-1],
    3: lambda image: image[::-1, ::-1],
    4: lambda image: image[::-1],
    5: lambda image: image.swapaxes(0, 1),
    6: lambda image: np.rot90(image, -1),
    7: lambda image: image[::-1, ::-1].swapaxes(0, 1),
    8: lambda image: np.rot90(image, 1),
}


class UnreadableError(ValueError):
    """Why this decoder refuses an image that Pillow might accept; leaves `decode` as the cause of a DataError."""


def decode(
    source: Path | str | bytes | BinaryIO, *, channels: int, formats: tuple[str, ...] = FORMATS
) -> NDArray[np.uint8]:
    """The image as uint8 [h, w, channels], upright, with 1 (grey) or 3 (RGB) channels.

    A file that is truncated, damaged, too large, of another format or no regular file raises
    DataError(code="IMAGE-UNREADABLE") naming it.
    """
    if channels not in (1, 3):
        raise ConfigError(f"images are decoded to 1 or 3 channels, not {channels}", code="CONFIG-VALUE")
    try:
        with _opened(source) as file, Image.open(file, formats=formats) as image:
            _check_size(image)
            image.load()
            pixels = _pixels(image, channels)
            upright = UPRIGHT.get(_orientation(image), np.asarray)
            return np.ascontiguousarray(upright(pixels))
    except Exception as error:  # hostile bytes make Pillow raise nearly anything: a list of classes would have holes
        raise _unreadable(source, error) from error


def size_of(source: Path | str) -> tuple[int, int]:
    """Height and width of the image as the file's header tells them, before any orientation; no pixel is unpacked.

    Raises:
        DataError: code IMAGE-UNREADABLE, as for `decode`.
    """
    try:
        with _opened(source) as file, Image.open(file, formats=FORMATS) as image:
            _check_size(image)
            return image.height, image.width
    except Exception as error:  # as above
        raise _unreadable(source, error) from error


def upright_size(source: Path | str) -> tuple[int, int]:
    """Height and width as `decode` will give them, upright; of a PNG file the pixels may be unpacked for that.

    Raises:
        DataError: code IMAGE-UNREADABLE, as for `decode`.
    """
    try:
        with _opened(source) as file, Image.open(file, formats=FORMATS) as image:
            _check_size(image)
            lying = _orientation(image) in LYING
            return (image.width, image.height) if lying else (image.height, image.width)
    except Exception as error:  # as above
        raise _unreadable(source, error) from error


def shown(source: Path | str | bytes | BinaryIO) -> str:
    """A name for messages: a path as it is, or quoted and escaped where it holds line breaks or broken Unicode."""
    if isinstance(source, (str, Path)):
        path = str(source)
        return path if path.isprintable() else repr(path)
    return f"of {len(source)} bytes in memory" if isinstance(source, bytes) else "in an open file"


def reason(error: BaseException) -> str:
    """Why an image was refused, in one line."""
    if isinstance(error, Image.UnidentifiedImageError):
        return f"no {', '.join(FORMATS)} image"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return " ".join(str(error).split()) or type(error).__name__


def _unreadable(source: Path | str | bytes | BinaryIO, error: Exception) -> DataError:
    return DataError(
        f"cannot read the image {shown(source)}: {reason(error)}", code="IMAGE-UNREADABLE", hint="Replace or remove it."
    )


@contextmanager
def _opened(source: Path | str | bytes | BinaryIO) -> Iterator[BinaryIO]:
    """The source as an open binary file; a path that is a FIFO, a device or a folder is refused without opening it."""
    if isinstance(source, bytes):
        yield io.BytesIO(source)
    elif isinstance(source, (str, Path)):
        status = Path(source).stat()
        if not stat.S_ISREG(status.st_mode):
            raise UnreadableError("not a regular file")
        if status.st_size == 0:
            raise UnreadableError("the file is empty")
        with Path(source).open("rb") as file:
            yield file
    else:
        yield source


def _check_size(image: Image.Image) -> None:
    """Refuse by the size in the header, before any pixel is unpacked."""
    width, height = image.size
    if width * height == 0:
        raise UnreadableError(f"it has no pixels ({width}x{height})")
    if width * height > PIXEL_LIMIT:
        raise UnreadableError(f"{width}x{height} pixels are more than the limit of {PIXEL_LIMIT:,}")


def _pixels(image: Image.Image, channels: int) -> NDArray[np.uint8]:
    """Uint8 [h, w, channels] as the file stores it, not yet upright."""
    if image.mode in GREY_16_MODES:
        return np.repeat(_grey_from_16_bits(image)[:, :, None], channels, axis=2)
    flat = _on_white(image).convert("L" if channels == 1 else "RGB")
    return np.array(flat).reshape(image.height, image.width, channels)


def _on_white(image: Image.Image) -> Image.Image:
    """The image without transparency."""
    key = image.info.get("transparency")
    if image.mode in ALPHA_MODES or (key is not None and image.mode in GREY_MODES + COLOR_MODES):
        if isinstance(key, tuple) and max(key) > 255:
            raise UnreadableError("a transparent colour in 16-bit RGB is not supported")
        return Image.alpha_composite(Image.new("RGBA", image.size, WHITE), image.convert("RGBA"))
    if image.mode in GREY_MODES + COLOR_MODES:
        return image
    raise UnreadableError(f"pixels of mode {image.mode} are not supported, save it as 8-bit grey or RGB")


def _grey_from_16_bits(image: Image.Image) -> NDArray[np.uint8]:
    """0..65535 to 0..255 by dividing by 257, rounded; a transparent value (PNG) becomes white."""
    tags: Any = getattr(image, "tag_v2", {})  # only TIFF has them, and only TIFF has 12-bit or inverted grey
    if tags.get(TIFF_BITS_PER_SAMPLE, 16) not in (16, (16,)) or tags.get(TIFF_PHOTOMETRIC, 1) != 1:
        raise UnreadableError("12-bit or inverted TIFF grey is not supported, save it as 8-bit grey")
    values = np.asarray(image).astype(np.uint32)
    grey = ((values + 128) // 257).astype(np.uint8)
    grey[values == image.info.get("transparency", -1)] = 255
    return grey


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 where there is none or the EXIF block is damaged."""
    try:
        return int(image.getexif().get(EXIF_ORIENTATION, 1))
    except Exception:  # a damaged EXIF block says nothing about the pixels, and they were read
        return 1
