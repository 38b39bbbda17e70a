"""Splits: validated once, cut by class, matched by name."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.images import memory, tree
from verydeep.data import folder
from verydeep.data.split import FileSplit, MemorySplit, fingerprint, hold_out, map_classes, take, with_channels
from verydeep.errors import ConfigError, DataError


@pytest.mark.parametrize("labels", [[0, 3], [-1, 0]])
def test_a_label_outside_the_classes_is_refused(labels):
    with pytest.raises(DataError, match="labels from"):
        MemorySplit("x", ("a", "b", "c"), np.array(labels), np.zeros((2, 1, 4, 4), np.uint8))


def test_a_class_given_twice_is_refused():
    with pytest.raises(DataError, match="given twice"):
        FileSplit("x", ("a", "a"), np.array([0]), ("/a",))


def test_images_of_another_kind_or_number_are_refused():
    for images in (np.zeros((2, 1, 4, 4)), np.zeros((3, 1, 4, 4), np.uint8), np.zeros((2, 4, 4), np.uint8)):
        with pytest.raises(DataError, match="must be uint8"):
            MemorySplit("x", ("a",), np.array([0, 0]), images)


def test_take_keeps_images_and_labels_together():
    split = memory()
    part = take(split, [5, 2])
    assert part.labels.tolist() == [split.labels[5], split.labels[2]]
    assert (part.images == split.images[[5, 2]]).all()
    assert part.classes == split.classes


@settings(deadline=None)
@given(
    counts=st.lists(st.integers(1, 40), min_size=1, max_size=6),
    fraction=st.floats(0.05, 0.9),
    seed=st.integers(0, 2**63),
)
def test_holding_out_is_stratified_disjoint_and_leaves_every_class_an_image(counts, fraction, seed):
    labels = np.repeat(np.arange(len(counts)), counts).astype(np.int64)
    names = tuple(str(i) for i in range(len(counts)))
    split = FileSplit("x", names, labels, tuple(f"/{i}" for i in range(len(labels))))
    try:
        rest, held = hold_out(split, fraction=fraction, seed=seed)
    except DataError as error:
        assert error.code == "DATA-TOO-FEW"
        return
    assert sorted(rest.paths + held.paths) == sorted(split.paths)
    stays = np.bincount(rest.labels, minlength=len(counts))
    gives = np.bincount(held.labels, minlength=len(counts))
    assert stays.min() >= 1
    wanted = np.array(counts) * fraction
    assert (gives <= np.ceil(wanted) + 1e-9).all() and (
        gives >= np.minimum(np.floor(wanted), np.array(counts) - 1)
    ).all()


def test_holding_out_a_tenth_holds_out_exactly_a_tenth():
    rest, held = hold_out(memory(n=1000, classes=7), fraction=0.1, seed=3)
    assert (len(rest), len(held)) == (900, 100)


def test_holding_out_depends_on_labels_fraction_and_seed_alone():
    split = memory(n=200)
    other_pixels = replace(split, images=255 - split.images)
    first, again = (hold_out(s, fraction=0.2, seed=1)[1] for s in (split, other_pixels))
    assert (first.images == 255 - again.images).all()
    other_seed = hold_out(split, fraction=0.2, seed=2)[1]
    assert not (first.images == other_seed.images).all()


def test_holding_out_keeps_the_name_honest():
    rest, held = hold_out(memory(), fraction=0.2, seed=0)
    assert (rest.name, held.name) == ("memory", "memory (held out)")


def test_a_held_out_part_without_images_is_an_error():
    with pytest.raises(DataError, match="gives none"):
        hold_out(memory(n=3, classes=3), fraction=0.3, seed=0)
    with pytest.raises(ConfigError, match="fraction"):
        hold_out(memory(), fraction=1.0, seed=0)


def test_classes_are_matched_by_name():
    split = FileSplit("x", ("cat", "dog"), np.array([0, 1, 1]), ("/a", "/b", "/c"))
    mapped = map_classes(split, ("ant", "dog", "cat"))
    assert mapped.classes == ("ant", "dog", "cat")
    assert mapped.labels.tolist() == [2, 1, 1]


def test_a_class_that_the_model_does_not_know_is_named_with_the_difference():
    split = FileSplit("x", ("cat", "dog"), np.array([0, 1]), ("/a", "/b"))
    with pytest.raises(DataError, match=r"'dog'.*without data: 'ant'") as caught:
        map_classes(split, ("ant", "cat"))
    assert caught.value.code == "DATA-CLASSES"


def test_a_fingerprint_changes_with_pixels_labels_and_classes():
    split = memory()
    pixels = split.images.copy()
    pixels[3, 0, 0, 0] ^= 1
    variants = [
        split,
        replace(split, images=pixels),
        replace(split, labels=(split.labels + 1) % 3),
        replace(split, classes=("x", "y", "z")),
        take(split, range(22)),
    ]
    assert len({fingerprint(variant) for variant in variants}) == len(variants)


def test_a_fingerprint_is_the_same_for_a_copy_of_the_folder(tmp_path):
    first = tree(tmp_path / "here", ["train/a", "train/b"])
    second = tree(tmp_path / "there" / "deeper", ["train/a", "train/b"])
    marks = [fingerprint(folder.load(split="train", root=root, download=False)) for root in (first, second)]
    assert marks[0] == marks[1]
    (second / "train" / "a" / "0.png").write_bytes(b"another size")
    assert fingerprint(folder.load(split="train", root=second, download=False)) != marks[0]


def test_grey_is_repeated_and_colour_becomes_luma():
    colour = memory(channels=3)
    grey = with_channels(colour, 1)
    weights = np.array([0.299, 0.587, 0.114])[None, :, None, None]
    assert np.abs(grey.images - (colour.images * weights).sum(1, keepdims=True)).max() <= 0.51
    assert (with_channels(grey, 3).images == grey.images.repeat(3, axis=1)).all()
    assert with_channels(grey, 1) is grey


def test_luma_in_memory_equals_luma_of_the_decoder():
    from PIL import Image

    from tests.data.images import encoded
    from verydeep.data.decode import decode

    colour = memory(channels=3, n=4)
    grey = with_channels(colour, 1)
    for pixels, expected in zip(colour.images, grey.images, strict=True):
        file = encoded(Image.fromarray(pixels.transpose(1, 2, 0)), "PNG")
        assert (decode(file, channels=1)[..., 0] == expected[0]).all()
