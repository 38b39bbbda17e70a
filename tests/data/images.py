"""Small images and folders of images, made by the tests that need them."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from verydeep.data.split import MemorySplit


def photo(height=40, width=56, channels=3, seed=0):
    """Smooth noise, so that lossy formats stay close."""
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 7, channels), dtype=np.uint8)
    picture = Image.fromarray(coarse[:, :, 0] if channels == 1 else coarse)
    return np.array(picture.resize((width, height), Image.Resampling.BICUBIC)).reshape(height, width, channels)


def encoded(picture, kind, **options):
    """The bytes of an image file."""
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def png(rows, colour, key):
    """A 16-bit PNG by hand (Pillow writes none with colour): uint16 [h, w, c], colour type, transparent value."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    lines = b"".join(b"\0" + row.astype(">u2").tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", rows.shape[1], rows.shape[0], 16, colour, 0, 0, 0)
    transparent = chunk(b"tRNS", struct.pack(f">{len(key)}H", *key)) if key else b""
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + transparent
        + chunk(b"IDAT", zlib.compress(lines))
        + chunk(b"IEND", b"")
    )


def memory(n=23, channels=1, side=12, classes=3, seed=0):
    """A split of random pixels with labels 0, 1, 2, 0, 1, ..."""
    pixels = np.random.default_rng(seed).integers(0, 256, (n, channels, side, side), dtype=np.uint8)
    names = tuple(f"class {i}" for i in range(classes))
    return MemorySplit("memory", names, np.arange(n, dtype=np.int64) % classes, pixels)


def tree(root: Path, folders, images=2, side=(20, 26)):
    """`images` PNG photographs in each of the folders below `root`."""
    for i, folder in enumerate(folders):
        (root / folder).mkdir(parents=True)
        for j in range(images):
            Image.fromarray(photo(*side, seed=100 * i + j)).save(root / folder / f"{j}.png")
    return root
