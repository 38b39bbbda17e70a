"""What is published of a command names no place of this machine."""

import pytest

from verydeep.reproduce.command import without_places


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("verydeep reproduce table3 --seeds 3", "verydeep reproduce table3 --seeds 3"),
        ("verydeep reproduce table3 --out '/home/me/my runs' --jobs 2", "verydeep reproduce table3 --out DIR --jobs 2"),
        (
            "verydeep reproduce table3 --data-root=/data --keep x",
            "verydeep reproduce table3 --data-root=DIR --keep DIR",
        ),
        ("verydeep reproduce table3 --data /home/me/cats", "verydeep reproduce table3 --data cats"),
        ("verydeep reproduce table3 --data=/home/me/cats", "verydeep reproduce table3 --data=cats"),
        ("", ""),
    ],
)
def test_places_become_dir(typed: str, shown: str):
    assert without_places(typed) == shown
