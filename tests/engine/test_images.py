"""Images are used where they lie, if a kernel can read them there."""

import numpy as np
import pytest
import torch

from verydeep.engine.images import placed

BATCH = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5)
LAST = np.ascontiguousarray(BATCH.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


@pytest.mark.parametrize(("batch", "from_planes"), [(BATCH, True), (LAST, False), (BATCH[:, :1], False)])
def test_a_batch_in_one_piece_is_not_copied(batch, from_planes):
    batch = batch if batch.shape[1] == 3 else batch.copy()
    for images, address in ((batch, batch.ctypes.data), (torch.from_numpy(batch), batch.ctypes.data)):
        found = placed(images, channels=batch.shape[1])
        assert (found.address, found.shape, found.from_planes) == (address, batch.shape, from_planes)


def test_numbers_that_lie_across_words_are_copied():
    crooked = np.ndarray(BATCH.shape, np.float32, np.zeros(BATCH.nbytes + 1, np.uint8)[1:])
    crooked[...] = BATCH
    found = placed(crooked, channels=3)
    assert found.address % BATCH.itemsize == 0
    assert np.array_equal(np.asarray(found.memory), BATCH)


def test_a_batch_with_gaps_is_copied():
    wide = np.zeros((2, 3, 4, 9), np.float32)[..., 2:7]
    assert placed(wide, channels=3).memory is not wide
    assert placed(torch.from_numpy(wide), channels=3).from_planes
