"""A data set on the device gives the batches that the CPU makes, the same bytes."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.images import memory
from verydeep.data import resident as module
from verydeep.data.augment import Augment, drawn
from verydeep.data.batches import batches
from verydeep.data.resident import bytes_needed, is_simple, resident, resident_batches
from verydeep.data.split import MemorySplit
from verydeep.preprocessing import Preprocessing

CPU = torch.device("cpu")
RGB = Preprocessing(3, (10, 12), None, "center", (120.0, 110.0, 100.0), (60.0, 61.0, 62.0), "RGB")


def _split(images: int = 29) -> MemorySplit:
    stream = np.random.default_rng(images)
    return MemorySplit(
        "random",
        ("a", "b", "c"),
        stream.integers(0, 3, images),
        stream.integers(0, 256, (images, 3, 11, 14), dtype=np.uint8),
    )


def _held(augment: Augment, split: MemorySplit, preprocessing: Preprocessing = RGB) -> module.Resident:
    held = resident(split, preprocessing=preprocessing, augment=augment, device=CPU)
    assert held is not None
    return held


@settings(deadline=None, max_examples=60)
@given(
    augment=st.builds(
        Augment,
        crop=st.sampled_from(["random", "center"]),
        flip=st.booleans(),
        turns=st.sampled_from(["random", "alternating"]),
        pad=st.integers(0, 3),
        border=st.sampled_from(["black", "mirrored"]),
    ),
    batch=st.integers(2, 31),
    epoch=st.integers(0, 3),
    start=st.integers(0, 2),
    ranks=st.sampled_from([(0, 1), (0, 2), (1, 2)]),
    together=st.sampled_from([1, 10, 65_536]),
)
def test_the_batches_are_those_of_the_host_byte_for_byte(augment, batch, epoch, start, ranks, together):
    split, (rank, world) = _split(), ranks
    options = {"batch": batch, "seed": 7, "epoch": epoch, "start": start, "rank": rank, "world": world}
    expected = list(batches(split, preprocessing=RGB, augment=augment, **options))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "TOGETHER", together)
        found = list(resident_batches(_held(augment, split), **options))
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.equal(ours.images, theirs.images)
        assert torch.equal(ours.labels, theirs.labels)
        assert ours.indices.tolist() == theirs.indices.tolist()
        assert ours.total == theirs.total


def test_a_mean_alone_is_taken_from_the_pixels_exactly():
    paper = replace(RGB, std=(1.0, 1.0, 1.0))
    (found,) = resident_batches(_held(Augment(), _split(), paper), batch=29, seed=0, epoch=0)
    (expected,) = batches(_split(), preprocessing=paper, augment=Augment(), batch=29, seed=0, epoch=0)
    assert torch.equal(found.images, expected.images)


def test_maps_are_channels_last_without_a_copy():
    (found,) = resident_batches(_held(Augment(), _split()), batch=29, seed=0, epoch=0)
    assert found.images.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("augment", "preprocessing"),
    [
        (Augment(crop="random-size"), RGB),
        (Augment(scale=(16, 20)), RGB),
        (Augment(color=0.1), RGB),
        (Augment(), replace(RGB, size=(20, 20))),  # the images would have to be enlarged
        (Augment(), replace(RGB, resize=20)),
        (Augment(), replace(RGB, color="BGR")),
    ],
)
def test_what_a_device_cannot_do_alike_is_left_to_the_host(augment: Augment, preprocessing: Preprocessing):
    assert is_simple(_split(), preprocessing=RGB, augment=Augment())
    assert not is_simple(_split(), preprocessing=preprocessing, augment=augment)


def test_grey_images_for_a_network_of_colours_are_left_to_the_host():
    assert not is_simple(memory(), preprocessing=replace(RGB, size=(2, 2)), augment=Augment())


def test_images_that_do_not_fit_the_device_stay_with_the_host(monkeypatch):
    split, augment = _split(), Augment(pad=2)
    needed = bytes_needed(split, augment)
    assert needed == 29 * 2 * 3 * 15 * 18
    for free, fits in ((needed / module.SHARE * 1.01, True), (needed / module.SHARE * 0.99, False)):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device, free=free: (free, free))
        monkeypatch.setattr(torch.Tensor, "to", lambda tensor, *args, **options: tensor)
        monkeypatch.setattr(torch, "tensor", lambda numbers, **options: torch.zeros(3))
        held = resident(split, preprocessing=RGB, augment=augment, device=torch.device("cuda"))
        assert (held is not None) == fits


def test_with_alternating_turns_each_image_is_mirrored_in_exactly_every_second_epoch():
    indices = np.arange(1000)
    mirrored = np.stack(
        [drawn(Augment(turns="alternating"), seed=1, epoch=epoch, indices=indices)[:, 3] < 0.5 for epoch in range(6)]
    )
    assert (mirrored[0] != mirrored[1]).all()
    assert all((mirrored[epoch] == mirrored[epoch % 2]).all() for epoch in range(6))
    assert 400 < mirrored[0].sum() < 600


def test_with_random_turns_an_epoch_says_nothing_of_the_next():
    first, second = (drawn(Augment(), seed=1, epoch=epoch, indices=np.arange(1000))[:, 3] < 0.5 for epoch in range(2))
    assert 400 < (first == second).sum() < 600
