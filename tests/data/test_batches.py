"""Batches: each sample once, the same bytes for any workers, start and ranks, and clear failures."""

import multiprocessing
import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.images import memory, tree
from verydeep.data import loader
from verydeep.data.augment import Augment, with_components
from verydeep.data.batches import batches, permutation, plan
from verydeep.data.catalog import load
from verydeep.data.preprocess import apply
from verydeep.data.split import MemorySplit, take
from verydeep.errors import ConfigError, DataError, WorkerError
from verydeep.preprocessing import Preprocessing

GREY = Preprocessing(1, (12, 12), 12, "center", (100.0,), (50.0,), "grey")
RGB = Preprocessing(3, (16, 16), 18, "center", (120.0, 110.0, 100.0), (60.0, 61.0, 62.0), "RGB")


@pytest.fixture
def files(tmp_path):
    return load(str(tree(tmp_path, ["a", "b", "c"], images=5)), split="train")


def epoch_of(split, *, preprocessing=GREY, augment=None, batch=4, seed=1, epoch=0, **options):
    options = {
        "preprocessing": preprocessing,
        "augment": augment,
        "batch": batch,
        "seed": seed,
        "epoch": epoch,
        **options,
    }
    return list(batches(split, **options))


def same(first, second):
    return (
        torch.equal(first.images, second.images)
        and torch.equal(first.labels, second.labels)
        and (first.indices == second.indices).all()
        and first.total == second.total
    )


@settings(deadline=None)
@given(n=st.integers(1, 70), batch=st.integers(1, 33))
def test_every_sample_comes_once_in_nearly_equal_batches_and_never_alone(n, batch):
    parts = plan(n, batch)
    sizes = [len(part) for part in parts]
    assert np.concatenate(parts).tolist() == list(range(n))
    assert max(sizes) - min(sizes) <= 1
    assert max(sizes) <= batch + (batch == 2 and n % 2)
    assert min(sizes) > 1 or n == 1 or batch == 1


def test_no_samples_make_no_batches_and_a_batch_of_nothing_is_refused():
    assert plan(0, 4) == []
    assert epoch_of(take(memory(), [])) == []
    with pytest.raises(ConfigError, match="batch size"):
        plan(5, 0)


@settings(deadline=None)
@given(n=st.integers(0, 200), seed=st.integers(0, 2**64), epoch=st.integers(0, 1000))
def test_a_permutation_is_one_and_is_repeatable(n, seed, epoch):
    order = permutation(n, seed=seed, epoch=epoch)
    assert sorted(order) == list(range(n))
    assert (order == permutation(n, seed=seed, epoch=epoch)).all()


def test_epochs_and_seeds_have_their_own_order():
    orders = {permutation(50, seed=s, epoch=e).tobytes() for s in range(5) for e in range(5)}
    assert len(orders) == 25


def test_the_orders_are_fair():
    first = [permutation(6, seed=0, epoch=e)[0] for e in range(3_000)]
    assert np.abs(np.bincount(first) / 3_000 - 1 / 6).max() < 0.03


def test_labels_images_and_indices_belong_together():
    split = memory()
    for batch in epoch_of(split):
        assert batch.images.dtype == torch.float32 and batch.labels.dtype == torch.int64
        assert batch.labels.tolist() == split.labels[batch.indices].tolist()
        for image, index in zip(batch.images, batch.indices, strict=True):
            assert torch.equal(image, apply(split.images[index].transpose(1, 2, 0), GREY))


def test_files_and_memory_give_the_same_numbers(files):
    from verydeep.data.decode import decode

    pixels = np.stack([decode(path, channels=3).transpose(2, 0, 1) for path in files.paths])
    held = MemorySplit("held", files.classes, files.labels, pixels)
    augment = with_components(Augment(scale=(18, 24), color=0.1, pad=1), held)
    for change in (None, augment, Augment(crop="random-size")):
        for one, other in zip(
            epoch_of(files, preprocessing=RGB, augment=change),
            epoch_of(held, preprocessing=RGB, augment=change),
            strict=True,
        ):
            assert same(one, other)


def test_workers_do_not_change_a_bit(files):
    augment = with_components(Augment(scale=(18, 24), color=0.1), files)
    expected = epoch_of(files, preprocessing=RGB, augment=augment)
    for workers in (1, 2):
        found = epoch_of(files, preprocessing=RGB, augment=augment, workers=workers)
        assert len(found) == len(expected) and all(map(same, found, expected))


@pytest.mark.parametrize("kind", ["memory", "files"])
def test_an_epoch_can_begin_at_any_batch(files, kind):
    split, preprocessing = (memory(), GREY) if kind == "memory" else (files, RGB)
    augment = Augment(pad=2)
    whole = epoch_of(split, preprocessing=preprocessing, augment=augment)
    for start in range(len(whole) + 2):
        rest = epoch_of(split, preprocessing=preprocessing, augment=augment, start=start)
        assert len(rest) == len(whole[start:]) and all(map(same, rest, whole[start:]))


def test_beginning_late_decodes_nothing_before(files):
    for path in files.paths:
        Path(path).write_bytes(b"gone bad")
    good = [files.paths[i] for i in permutation(len(files), seed=1, epoch=0)[plan(len(files), 4)[-1]]]
    tree_again = Path(files.root).parent / "again"
    tree(tree_again, ["a", "b", "c"], images=5)
    for path in good:
        Path(path).write_bytes((tree_again / Path(path).relative_to(files.root)).read_bytes())
    assert len(epoch_of(files, preprocessing=RGB, start=len(plan(len(files), 4)) - 1)) == 1
    with pytest.raises(DataError):
        epoch_of(files, preprocessing=RGB, start=0)


@pytest.mark.parametrize("world", [2, 3, 5])
def test_the_ranks_together_have_the_batches_of_one_process(world):
    split = memory(n=21, channels=3)
    augment = with_components(Augment(pad=2, color=0.1), split)
    preprocessing = replace(RGB, size=(12, 12), resize=12)
    whole = epoch_of(split, preprocessing=preprocessing, augment=augment)
    shares = [
        epoch_of(split, preprocessing=preprocessing, augment=augment, rank=rank, world=world) for rank in range(world)
    ]
    for i, batch in enumerate(whole):
        for rank in range(world):
            assert torch.equal(shares[rank][i].images, batch.images[rank::world])
            assert (shares[rank][i].indices == batch.indices[rank::world]).all()
            assert shares[rank][i].total == batch.total == len(batch.indices)


@pytest.mark.parametrize("augment", [None, Augment(), Augment(crop="random-size")])
@pytest.mark.parametrize("workers", [0, 1])
def test_a_rank_without_a_share_still_gets_its_empty_batches(files, augment, workers):
    split = take(files, range(7))
    found = epoch_of(split, preprocessing=RGB, augment=augment, rank=4, world=5, workers=workers)
    assert [len(batch.labels) for batch in found] == [0, 0]
    assert all(batch.images.shape == (0, 3, 16, 16) and batch.total in (3, 4) for batch in found)
    in_memory = epoch_of(take(memory(), range(7)), augment=augment, rank=4, world=5)
    assert all(batch.images.shape == (0, 1, 12, 12) for batch in in_memory)


def test_without_shuffling_the_order_is_the_splits():
    found = epoch_of(memory(), shuffle=False)
    assert np.concatenate([batch.indices for batch in found]).tolist() == list(range(23))


def test_epochs_augment_differently():
    first, second = (epoch_of(memory(), augment=Augment(pad=4), epoch=e, shuffle=False)[0] for e in (0, 1))
    assert not torch.equal(first.images, second.images)


@pytest.mark.parametrize("workers", [0, 2])
def test_the_global_random_numbers_are_left_alone(files, workers):
    torch.manual_seed(0)
    np.random.seed(0)
    states = torch.get_rng_state(), np.random.get_state()[1].copy()
    epoch_of(files, preprocessing=RGB, augment=Augment(), workers=workers)
    epoch_of(memory(), augment=Augment())
    assert torch.equal(torch.get_rng_state(), states[0]) and (np.random.get_state()[1] == states[1]).all()


@pytest.mark.parametrize("workers", [0, 2])
def test_a_file_that_goes_bad_is_named(files, workers):
    Path(files.paths[6]).write_bytes(b"no image any more")
    with pytest.raises(DataError, match=files.paths[6]) as caught:
        epoch_of(files, preprocessing=RGB, workers=workers)
    assert caught.value.code == "IMAGE-UNREADABLE"


@pytest.mark.parametrize("workers", [0, 1])
def test_whole_images_of_different_sizes_cannot_be_one_batch(tmp_path, workers):
    tree(tmp_path, ["a"], side=(20, 30))
    tree(tmp_path, ["b"], side=(30, 20))
    split = load(str(tmp_path), split="train")
    whole = replace(RGB, crop="none")
    with pytest.raises(DataError, match="batch=1"):
        epoch_of(split, preprocessing=whole, workers=workers)
    shapes = [tuple(batch.images.shape[2:]) for batch in epoch_of(split, preprocessing=whole, batch=1, shuffle=False)]
    assert shapes == [(18, 27)] * 2 + [(27, 18)] * 2


def test_a_killed_worker_is_an_error_that_names_its_files(files, monkeypatch):
    monkeypatch.setattr(loader, "decode", lambda path, channels: os.kill(os.getpid(), signal.SIGKILL))
    with pytest.raises(WorkerError, match=r"batch of 4 images, first .*\.png") as caught:
        epoch_of(files, preprocessing=RGB, workers=1)
    assert caught.value.exit_code == 7


def test_a_hanging_worker_is_an_error_after_the_timeout_and_is_removed(files, monkeypatch):
    monkeypatch.setattr(loader, "TIMEOUT_SECONDS", 1)
    monkeypatch.setattr(torch.utils.data._utils, "MP_STATUS_CHECK_INTERVAL", 0.5)
    monkeypatch.setattr(loader, "decode", lambda path, channels: os.kill(os.getpid(), signal.SIGSTOP))
    before = set(multiprocessing.active_children())
    with pytest.raises(WorkerError, match=r"batch of 4 images.*timed out after 1 seconds"):
        epoch_of(files, preprocessing=RGB, workers=1)
    left = set(multiprocessing.active_children()) - before
    for worker in left:
        worker.join(5)
    assert not any(worker.is_alive() for worker in left)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_fault_in_our_own_code_is_not_disguised(files, monkeypatch, workers):
    def broken(path, channels):
        raise KeyError("a programming fault")

    monkeypatch.setattr(loader, "decode", broken)
    with pytest.raises(KeyError, match="a programming fault"):
        epoch_of(files, preprocessing=RGB, workers=workers)


@pytest.mark.parametrize("wrong", [{"rank": 2, "world": 2}, {"rank": -1}, {"start": -1}, {"workers": -1}])
def test_impossible_ranks_starts_and_workers_are_refused_at_once(wrong):
    with pytest.raises(ConfigError):
        batches(memory(), preprocessing=GREY, augment=None, batch=4, seed=0, epoch=0, **wrong)


def test_channels_that_the_network_does_not_take_are_refused_at_once(files):
    with pytest.raises(ConfigError, match="with_channels"):
        batches(files, preprocessing=GREY, augment=None, batch=4, seed=0, epoch=0)


def test_small_images_come_fast_enough_to_keep_a_network_busy():
    split = memory(n=8_000, side=28)
    preprocessing = Preprocessing(1, (28, 28), 28, "center", (72.9,), (90.0,), "grey")
    best = min(_seconds(split, preprocessing) for _ in range(3))
    assert len(split) / best > 15_000, "half of what one free core gives, 30,000 images a second and more"


def _seconds(split, preprocessing):
    begin = time.process_time()
    for _ in batches(split, preprocessing=preprocessing, augment=Augment(pad=2), batch=256, seed=0, epoch=0):
        pass
    return time.process_time() - begin
