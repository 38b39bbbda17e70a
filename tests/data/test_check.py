"""Unreadable images are found before training, counted, and never repaired."""

import hashlib

import numpy as np
import pytest

from tests.data.images import memory, tree
from verydeep.data.catalog import load
from verydeep.data.check import check, usable
from verydeep.errors import DataError


def damaged(tmp_path, bad, images=30):
    root = tree(tmp_path, ["a", "b"], images=images)
    damages = [b"", b"<html>", (root / "a" / "0.png").read_bytes()[:-200]]
    for i in range(bad):
        (root / "b" / f"{i}.png").write_bytes(damages[i % 3])
    return load(str(root), split="train")


def test_every_bad_file_is_listed_with_a_reason_and_no_good_one(tmp_path):
    bad = check(damaged(tmp_path, bad=3))
    assert [one.path for one in bad] == [str(tmp_path / "b" / f"{i}.png") for i in range(3)]
    assert [one.index for one in bad] == [30, 31, 42]  # by code point, "2.png" comes after "19.png"
    assert bad[0].reason == "the file is empty" and "no JPEG" in bad[1].reason and "truncated" in bad[2].reason


def test_a_set_in_memory_has_no_bad_files():
    assert check(memory()) == []


def test_training_is_refused_with_the_first_20_paths(tmp_path):
    split = damaged(tmp_path, bad=25, images=300)
    with pytest.raises(DataError) as caught:
        usable(split, bad_images="refuse")
    text = str(caught.value)
    assert caught.value.exit_code == 3 and caught.value.code == "DATA-BAD-IMAGES"
    assert text.count(".png") == 20 and "25 of 600" in text and "and 5 more" in text and "--bad-images skip" in text


def test_bad_images_can_be_left_out_and_are_counted(tmp_path):
    split = damaged(tmp_path, bad=3)
    good, bad = usable(split, bad_images="skip")
    assert len(good) == 57 and len(bad) == 3
    assert not {one.path for one in bad} & set(good.paths)
    assert np.bincount(good.labels).tolist() == [30, 27]


def test_more_than_five_percent_are_refused_even_then(tmp_path):
    with pytest.raises(DataError, match="too many to skip"):
        usable(damaged(tmp_path, bad=4), bad_images="skip")


def test_checking_changes_no_file(tmp_path):
    split = damaged(tmp_path, bad=3)

    def state():
        files = sorted(path for path in tmp_path.rglob("*") if path.is_file())
        return [(path, path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).digest()) for path in files]

    before = state()
    usable(split, bad_images="skip")
    assert state() == before
