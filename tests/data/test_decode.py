"""The one decoder: what it reads, what it refuses, and that both are said."""

import io
import os
import random
import struct
import warnings

import numpy as np
import pytest
from PIL import Image, ImageFile

from tests.data.images import encoded, photo, png
from verydeep.data.decode import PIXEL_LIMIT, decode
from verydeep.errors import ConfigError, DataError

PHOTO = photo()
GREY = photo(channels=1)[:, :, 0]
STORED = {  # orientation -> how a camera would have stored the upright image
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, 1),
    7: lambda a: np.rot90(a.transpose(1, 0, 2), 2),
    8: lambda a: np.rot90(a, -1),
}


def with_orientation(pixels, kind, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"quality": 98, "subsampling": 0} if kind == "JPEG" else {"lossless": True} if kind == "WEBP" else {}
    return encoded(Image.fromarray(np.ascontiguousarray(pixels)), kind, exif=exif, **options)


def refusal(source, **options):
    with pytest.raises(DataError) as caught:
        decode(source, channels=3, **options)
    assert caught.value.code == "IMAGE-UNREADABLE"
    assert caught.value.exit_code == 3
    return str(caught.value)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_gives_the_upright_image(kind, orientation):
    upright = decode(with_orientation(STORED[orientation](PHOTO), kind, orientation), channels=3)
    assert upright.shape == PHOTO.shape
    error = np.abs(upright.astype(int) - PHOTO)
    assert error.mean() <= 2 and error.max() <= (16 if kind == "JPEG" else 0)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("orientation", [0, 9, 255, 65535])
def test_an_invalid_orientation_is_ignored(kind, orientation):
    pixels = decode(with_orientation(PHOTO, kind, orientation), channels=3)
    assert np.abs(pixels.astype(int) - PHOTO).mean() <= 2


def test_an_orientation_that_is_no_number_is_ignored():
    words = b"Exif\0\0II*\0" + struct.pack("<IHHHI4sI", 8, 1, 0x0112, 2, 4, b"abc", 0)
    assert (decode(encoded(Image.fromarray(PHOTO), "PNG", exif=words), channels=3) == PHOTO).all()


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_a_damaged_exif_block_is_ignored():
    whole = with_orientation(PHOTO, "JPEG", 1)
    place = whole.index(b"Exif\0\0") + 10
    pixels = decode(whole[:place] + b"\xff\xff\xff\xff" + whole[place + 4 :], channels=3)
    assert np.abs(pixels.astype(int) - PHOTO).mean() <= 2


def luma(rgb):
    return np.rint(rgb.astype(float) @ [0.299, 0.587, 0.114])


def on_white(rgb, alpha):
    share = alpha[..., None] / 255
    return rgb * share + 255 * (1 - share)


ALPHA = np.tile(np.linspace(0, 255, 56).astype(np.uint8), (40, 1))
PALETTE = Image.fromarray(PHOTO).quantize(16)
PALETTE_RGB = np.array(PALETTE.convert("RGB"))
FIRST_TRANSPARENT = np.where(np.array(PALETTE)[..., None] == 3, 255, PALETTE_RGB)
SIXTEEN = GREY.astype(np.uint16) * 257
CMYK = np.dstack([PHOTO, 255 - GREY])
CMYK_RGB = (255.0 - CMYK[..., :3]) * (255.0 - CMYK[..., 3:]) / 255
RGBA = Image.fromarray(np.dstack([PHOTO, ALPHA]))
MODES = {  # name -> (file, what the network must see as RGB)
    "1": (encoded(Image.fromarray(GREY > 127), "PNG"), np.where(GREY > 127, 255, 0)),
    "L": (encoded(Image.fromarray(GREY), "PNG"), GREY),
    "L jpeg": (encoded(Image.fromarray(np.full((9, 9), 77, np.uint8)), "JPEG"), np.full((9, 9), 77)),
    "L with tRNS": (encoded(Image.fromarray(GREY), "PNG", transparency=70), np.where(GREY == 70, 255, GREY)),
    "LA": (encoded(Image.fromarray(np.dstack([GREY, ALPHA])), "PNG"), on_white(GREY[..., None], ALPHA)[..., 0]),
    "P": (encoded(PALETTE, "PNG"), PALETTE_RGB),
    "P gif": (encoded(PALETTE, "GIF"), PALETTE_RGB),
    "P with tRNS": (encoded(PALETTE, "PNG", transparency=3), FIRST_TRANSPARENT),
    "RGB": (encoded(Image.fromarray(PHOTO), "PNG"), PHOTO),
    "RGB bmp": (encoded(Image.fromarray(PHOTO), "BMP"), PHOTO),
    "RGB webp": (encoded(Image.fromarray(PHOTO), "WEBP", lossless=True), PHOTO),
    "RGB tiff": (encoded(Image.fromarray(PHOTO), "TIFF", compression="tiff_lzw"), PHOTO),
    "RGBA": (encoded(RGBA, "PNG"), on_white(PHOTO, ALPHA)),
    "RGBA webp": (encoded(RGBA, "WEBP", lossless=True, exact=True), on_white(PHOTO, ALPHA)),
    "CMYK tiff": (encoded(Image.fromarray(CMYK, "CMYK"), "TIFF"), CMYK_RGB),
    "I;16": (encoded(Image.fromarray(SIXTEEN), "PNG"), GREY),
    "I;16 tiff": (encoded(Image.fromarray(SIXTEEN), "TIFF"), GREY),
    "I;16B tiff": (encoded(Image.fromarray(SIXTEEN.astype(">u2")), "TIFF"), GREY),
}


@pytest.mark.parametrize("name", MODES)
def test_every_mode_means_its_documented_value(name):
    file, expected = MODES[name]
    rgb = expected if expected.ndim == 3 else np.repeat(expected[..., None], 3, axis=2)
    assert np.abs(decode(file, channels=3) - rgb.astype(float)).max() <= 1
    assert np.abs(decode(file, channels=1)[..., 0] - luma(rgb)).max() <= 1


def test_the_inverted_cmyk_of_adobe_jpegs_is_undone():
    colour = np.zeros((16, 16, 4), np.uint8) + np.array([0, 200, 50, 30], np.uint8)
    file = encoded(Image.fromarray(colour, "CMYK"), "JPEG", quality=95, subsampling=0)
    assert b"Adobe" in file
    expected = (255 - np.array([0, 200, 50])) * (255 - 30) / 255
    assert np.abs(decode(file, channels=3) - expected).max() <= 3


def test_a_ycbcr_tiff_becomes_rgb():
    file = encoded(Image.fromarray(PHOTO).convert("YCbCr"), "TIFF")
    assert np.abs(decode(file, channels=3).astype(int) - PHOTO).max() <= 3


def test_a_16_bit_ramp_keeps_its_mean():
    ramp = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    grey = decode(encoded(Image.fromarray(ramp), "PNG"), channels=1)
    assert grey.mean() == pytest.approx(127.5, abs=0.5)
    assert grey.min() == 0 and grey.max() == 255


def test_16_bit_colour_keeps_its_high_bytes():
    deep = PHOTO.astype(np.uint16) * 257
    assert (decode(png(deep, 2, ()), channels=3) == PHOTO).all()


def test_a_transparent_value_in_16_bits_is_white_in_grey_and_refused_in_colour():
    key = int(SIXTEEN[3, 4])
    grey = decode(png(SIXTEEN[:, :, None], 0, (key,)), channels=1)[..., 0]
    assert (grey == np.where(key == SIXTEEN, 255, GREY)).all()
    assert "transparent colour" in refusal(png(PHOTO.astype(np.uint16) * 257, 2, (500, 500, 500)))


@pytest.mark.parametrize(("tag", "usual", "changed"), [(262, 1, 0), (258, 16, 12)])
def test_inverted_and_12_bit_tiff_grey_are_refused(tag, usual, changed):
    entry = struct.pack("<HHII", tag, 3, 1, usual)
    file = encoded(Image.fromarray(SIXTEEN), "TIFF")
    assert entry in file
    assert "12-bit or inverted TIFF" in refusal(file.replace(entry, struct.pack("<HHII", tag, 3, 1, changed)))


def test_fully_transparent_red_is_white():
    red = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    assert (decode(encoded(red, "PNG"), channels=3) == 255).all()


@pytest.mark.parametrize("mode", ["I", "F", "LAB"])
def test_a_mode_without_a_known_range_is_refused_by_name(mode):
    assert f"mode {mode} " in refusal(encoded(Image.new(mode, (4, 4)), "TIFF"))


def test_the_first_frame_of_an_animation_is_read():
    frames = [Image.new("L", (6, 5), value) for value in (10, 200)]
    file = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert (decode(file, channels=1) == 10).all()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_a_truncated_file_is_refused_and_named(tmp_path, kind):
    whole = encoded(Image.fromarray(PHOTO), kind)
    for part in (0.1, 0.5, 0.9):
        path = tmp_path / f"cut {part}.{kind}"
        path.write_bytes(whole[: int(len(whole) * part)])
        assert str(path) in refusal(path)
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False


def test_an_empty_file_is_refused(tmp_path):
    (tmp_path / "empty.jpg").touch()
    assert "the file is empty" in refusal(tmp_path / "empty.jpg")


def test_html_with_an_image_name_is_refused(tmp_path):
    (tmp_path / "page.jpg").write_text("<html>404 not found</html>")
    assert "no JPEG, PNG" in refusal(tmp_path / "page.jpg")


@pytest.mark.parametrize("kind", ["PPM", "TGA", "PCX", "ICO", "EPS", "PDF", "JPEG2000"])
def test_other_formats_are_refused_by_their_content(tmp_path, kind):
    path = tmp_path / "lie.png"
    path.write_bytes(encoded(Image.fromarray(PHOTO), kind))
    assert "no JPEG, PNG" in refusal(path)


def test_the_name_of_a_file_does_not_decide_its_format(tmp_path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(encoded(Image.fromarray(PHOTO), "PNG"))
    assert (decode(path, channels=3) == PHOTO).all()


def test_a_format_can_be_switched_off():
    refusal(encoded(Image.fromarray(PHOTO), "TIFF"), formats=("JPEG", "PNG"))


def test_a_fifo_a_device_and_a_folder_are_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    for path in (tmp_path / "pipe.jpg", "/dev/zero", tmp_path):
        assert "not a regular file" in refusal(path)


def test_a_missing_file_is_named(tmp_path):
    text = refusal(tmp_path / "gone.jpg")
    assert "gone.jpg: no such file" in text


def test_a_path_with_a_line_break_stays_on_one_line(tmp_path):
    assert "\n" not in refusal(tmp_path / "two\nlines.jpg")


def test_paths_bytes_and_open_files_give_the_same_pixels(tmp_path):
    file = encoded(Image.fromarray(PHOTO), "JPEG")
    path = tmp_path / "photo.jpg"
    path.write_bytes(file)
    with path.open("rb") as opened:
        results = [decode(source, channels=3) for source in (path, str(path), file, io.BytesIO(file), opened)]
    assert all((result == results[0]).all() for result in results)


def test_too_many_pixels_are_refused_before_they_are_read(monkeypatch):
    header = bytearray(encoded(Image.new("1", (1, 1)), "BMP"))
    side = int(PIXEL_LIMIT**0.5) + 2
    header[18:26] = side.to_bytes(4, "little") * 2
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda self: pytest.fail("the pixels were read"))
    assert "more than the limit" in refusal(bytes(header))


def test_the_pixel_limit_is_stricter_than_pillows_warning():
    assert Image.MAX_IMAGE_PIXELS is not None and Image.MAX_IMAGE_PIXELS > PIXEL_LIMIT


def test_two_channels_are_no_choice():
    with pytest.raises(ConfigError, match="1 or 3 channels"):
        decode(b"", channels=2)


def mutated(file, generator):
    """One damage of four kinds: bytes, a zeroed block, a cut, a piece moved."""
    data = bytearray(file)
    place = generator.randrange(len(data))
    match generator.randrange(4):
        case 0:
            for _ in range(generator.randint(1, 8)):
                data[generator.randrange(len(data))] = generator.randrange(256)
        case 1:
            data[place : place + 16] = bytes(len(data[place : place + 16]))
        case 2:
            del data[place:]
        case _:
            data[place:place] = data[: generator.randrange(64)]
    return bytes(data)


def test_ten_thousand_damaged_images_give_pixels_or_a_data_error():
    seeds = [file for file, _ in MODES.values()] + [with_orientation(PHOTO, "JPEG", 6)]
    generator = random.Random(1409)
    refused = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as a program would run: Pillow warns about much that it then reads
        for i in range(10_000):
            try:
                pixels = decode(mutated(seeds[i % len(seeds)], generator), channels=3)
            except DataError as error:
                assert error.code == "IMAGE-UNREADABLE"
                refused += 1
            else:
                assert pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3
    assert 2_500 < refused < 10_000
