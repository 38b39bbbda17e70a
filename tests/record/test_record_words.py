"""Numbers and settings in words."""

import pytest

from verydeep.preprocessing import Preprocessing
from verydeep.record.words import amount, duration, percent, preprocessing_words, setting, settings
from verydeep.settings.config import Config


@pytest.mark.parametrize(
    ("share", "digits", "text"),
    [
        (0.98236, 2, "98.24 %"),
        (0.98236, 0, "98 %"),
        (1.0, 1, "100.0 %"),
        (0.99999, 1, "99.9 %"),
        (0.99999, 0, "99 %"),
        (0.0, 1, "0.0 %"),
        (None, 1, "\N{EN DASH}"),
    ],
)
def test_a_share_is_percent_and_only_all_is_a_hundred(share, digits, text):
    assert percent(share, digits=digits) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0.0 s"),
        (4.25, "4.2 s"),
        (42.4, "42 s"),
        (59.7, "1 min 00 s"),
        (201, "3 min 21 s"),
        (3599.6, "1 h 00 min"),
        (7530, "2 h 05 min"),
    ],
)
def test_seconds_are_written_as_one_reads_a_clock(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0"),
        (9_999, "9,999"),
        (288_618, "289 k"),
        (999_499, "999 k"),
        (999_999, "1 M"),
        (2_379_008, "2.38 M"),
        (138_357_544, "138 M"),
        (15_470_264_320, "15.5 G"),
        (999_500_000_000, "1 T"),
        (2_030_000_000_000_000, "2.03 P"),
        (4_310_000_000_000_000_000, "4.31 E"),
    ],
)
def test_large_numbers_have_three_digits(count, text):
    assert amount(count) == text


def test_settings_hide_where_things_are():
    shown = settings(Config(data="/home/someone/photos", data_root="/home/someone", grow_from="/home/someone/run-1"))
    assert (shown["data"], shown["grow_from"]) == ("photos", "run-1")
    assert "someone" not in str(shown)
    assert settings(Config(start_from="/home/someone/run-2"))["start_from"] == "run-2"
    assert settings(Config())["data"] == "digits"


def test_settings_are_written_as_in_yaml():
    assert [setting(value) for value in (None, True, 0.1, "sgd", [1, 2])] == [
        "\N{EN DASH}",
        "true",
        "0.1",
        "sgd",
        "[1, 2]",
    ]


def test_preprocessing_is_told_in_the_order_in_which_it_happens():
    paper = Preprocessing(3, (224, 224), 256, "center", (123.68, 116.779, 103.939), (1.0, 1.0, 1.0), "RGB")
    assert preprocessing_words(paper) == (
        "Images are read as RGB colour, 0 to 255, rescaled (bilinear, antialiased) so that the smaller side has "
        "256 pixels, cropped to the central 224x224, enlarged first where they are smaller. The mean (123.7, 116.8, "
        "103.9) is subtracted and nothing else."
    )
