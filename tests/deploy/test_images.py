"""The images on which exports are checked: spread over the whole split, of one size, as the model takes them."""

from dataclasses import replace

import numpy as np

from tests.deploy.bundles import photographed
from verydeep.data.split import FileSplit, MemorySplit
from verydeep.deploy.images import spread
from verydeep.preprocessing import Preprocessing

DIGITS = Preprocessing(1, (8, 8), None, "center", (77.9,), (95.9,), "grey")


def test_images_are_spread_over_the_split_and_keep_their_labels(figures: MemorySplit):
    found = spread(figures, 5, preprocessing=DIGITS)
    places = [0, 359, 718, 1077, 1436]
    assert np.array_equal(found.pixels, figures.images[places])
    assert np.array_equal(found.labels, figures.labels[places])


def test_a_small_split_gives_what_it_has_once(figures: MemorySplit):
    few = replace(figures, images=figures.images[:3], labels=figures.labels[:3])
    assert np.array_equal(spread(few, 10, preprocessing=DIGITS).pixels, few.images)


def test_photographs_of_many_sizes_become_one_array_also_for_the_form_that_takes_any(photographs: FileSplit):
    record = photographed(48).preprocessing
    for crop in ("center", "none"):
        found = spread(photographs, 4, preprocessing=replace(record, crop=crop, size=(48, 60)))
        assert (found.pixels.shape, found.pixels.dtype) == ((4, 3, 48, 60), np.uint8)
