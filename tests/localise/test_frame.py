"""A box follows its crop: the box is painted, the picture transformed by the package, and the paint's box measured."""

import numpy as np
import pytest

from verydeep.data.augment import DRAWS, Augment, augment_image, draws
from verydeep.data.preprocess import fit
from verydeep.errors import ConfigError
from verydeep.localise.box import iou, to_corners
from verydeep.localise.frame import centre_frame, random_frame, refuse_unplaced
from verydeep.preprocessing import Preprocessing

CROP = (40, 48)


def preprocessing(resize):
    return Preprocessing(1, CROP, resize, "center", (0.0,), (1.0,), "grey")


def painted(size, box):
    image = np.zeros((*size, 1), np.uint8)
    left, top, right, bottom = box
    image[top:bottom, left:right] = 255
    return image


def measured(image):
    """The corners of what is painted, to a fraction of a pixel: the sums of paint over rows and columns."""
    paint = image[:, :, 0] / 255
    rows, columns = paint.max(axis=1), paint.max(axis=0)
    down, right = np.flatnonzero(rows), np.flatnonzero(columns)
    # The first and the last line may be painted in part: so much of them belongs to the box.
    return np.array(
        [
            right[0] + 1 - columns[right[0]],
            down[0] + 1 - rows[down[0]],
            right[-1] + columns[right[-1]],
            down[-1] + rows[down[-1]],
        ]
    )


@pytest.mark.parametrize("size", [(40, 48), (96, 120), (70, 200), (33, 20), (12, 400)])
def test_the_box_in_the_centre_crop_is_the_paint_in_it(size):
    height, width = size
    box = (
        width // 2 - width // 16 - 1,
        height // 2 - height // 6,
        width // 2 + width // 18 + 1,
        height // 2 + height // 5,
    )
    for resize in (48, 64):
        crop = fit(painted(size, box), preprocessing(resize))
        frame = centre_frame(size, preprocessing(resize))
        found = to_corners(frame.enter(np.array(box, float))) * np.array([CROP[1], CROP[0]] * 2)
        seen = np.clip(found, 0, np.array([CROP[1], CROP[0]] * 2))
        blurred = 0.5 * max(1.0, CROP[0] / height)  # an enlarged edge is soft: half a pixel of the image
        assert np.abs(seen - measured(crop)).max() < 0.5 + blurred
        assert iou(seen, measured(crop)) > 0.8
        assert np.abs(frame.leave(frame.enter(np.array(box, float))) - box).max() < 1e-9


@pytest.mark.parametrize(
    "augment",
    [
        Augment(),
        Augment(scale=(56, 72)),
        Augment(flip=False, pad=6),
        Augment(crop="center", scale=(60, 60)),
        Augment(turns="alternating", pad=3),
    ],
)
def test_the_box_follows_the_random_crop_and_the_flip(augment):
    size, box = (90, 110), np.array([30, 36, 70, 60])
    image = painted(size, box)
    rows = draws(5, epoch=1, indices=np.arange(60), count=DRAWS)
    places, compared = set(), 0
    for row in rows:
        crop = augment_image(image, augment=augment, preprocessing=preprocessing(60), draw=row)
        frame = random_frame(size, augment=augment, preprocessing=preprocessing(60), draw=row)
        found = to_corners(frame.enter(box.astype(float))) * np.array([CROP[1], CROP[0]] * 2)
        clipped = np.clip(found, 0, np.array([CROP[1], CROP[0]] * 2))
        if frame.seen(box.astype(float)) > 0.3:
            assert np.abs(clipped - measured(crop)).max() < 0.75
            compared += 1
        places.add(tuple(np.round(found, 3)))
        assert np.abs(frame.leave(frame.enter(box.astype(float))) - box).max() < 1e-9
    assert compared > 30
    assert len(places) > 1 or augment.crop == "center"


def test_what_is_seen_of_a_box_is_the_share_of_its_pixels_in_the_crop():
    size, box = (90, 110), np.array([2, 4, 60, 50])
    for row in draws(7, epoch=0, indices=np.arange(40), count=DRAWS):
        augment = Augment(scale=(90, 90))
        crop = augment_image(painted(size, box), augment=augment, preprocessing=preprocessing(90), draw=row)
        frame = random_frame(size, augment=augment, preprocessing=preprocessing(90), draw=row)
        share = (crop > 0).sum() / ((box[2] - box[0]) * (box[3] - box[1]))
        assert frame.seen(box.astype(float)) == pytest.approx(share, abs=1e-12)


def test_a_crop_of_random_size_is_refused():
    refuse_unplaced(Augment())
    with pytest.raises(ConfigError, match="random size"):
        refuse_unplaced(Augment(crop="random-size"))
