"""Height and width of an image file as the decoder will give it, from the file's first bytes."""

from pathlib import Path

from PIL import Image

from verydeep.data.decode import EXIF_ORIENTATION, FORMATS, reason, shown
from verydeep.errors import DataError

LYING = (5, 6, 7, 8)  # EXIF orientations that exchange height and width


def image_size(path: str) -> tuple[int, int]:
    """Height and width in pixels, upright; no pixel is read.

    Raises:
        DataError: code IMAGE-UNREADABLE, it is no image.
    """
    try:
        if not Path(path).is_file():
            raise OSError("no regular file")
        with Image.open(path, formats=FORMATS) as image:
            width, height = image.size
            lying = _orientation(image) in LYING
    except Exception as error:  # hostile bytes make Pillow raise nearly anything, as in decode.py
        raise DataError(
            f"cannot read the image {shown(path)}: {reason(error)}",
            code="IMAGE-UNREADABLE",
            hint="Replace or remove it.",
        ) from error
    return (width, height) if lying else (height, width)


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(EXIF_ORIENTATION, 1))
    except Exception:  # a damaged EXIF block says nothing, and the decoder passes over it too
        return 1
