"""Checkpoints come back bit for bit, and nothing damaged, swapped, unfinished or non-finite is ever accepted."""

import errno
import hashlib
import json
import os
import pickle
import random
import shutil
import stat
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import ANY

import pytest
import torch
from safetensors.torch import load_file

from verydeep.durable import free_bytes, write_synced
from verydeep.errors import ConfigError, NumericalError, ResourceError, WeightsError
from verydeep.training import checkpoint, manifest, retention
from verydeep.training.checkpoint import check_space, latest, load, save

FILES = ("weights.safetensors", "state.safetensors", "state.json", "MANIFEST.json")


@pytest.fixture
def tmp_path(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one: a busy disk takes minutes for thousands of fsyncs, and proves no more."""
    memory = Path("/dev/shm")
    if not memory.is_dir() or free_bytes(memory) < 64_000_000:
        yield tmp_path
    else:
        with tempfile.TemporaryDirectory(dir=memory) as folder:
            yield Path(folder)


def weights_of(step: int) -> dict[str, torch.Tensor]:
    return {"conv1_1.weight": torch.full((4, 3, 3, 3), float(step)), "bn.count": torch.tensor(step)}


def saved(folder: Path, step: int, *, run_id: str = "run-a", keep: int = 9) -> Path:
    state = {"momentum/conv1_1.weight": torch.full((4, 3, 3, 3), -float(step))}
    record = {"epoch": step, "best": None, "classes": ["cat", "dog"]}
    return save(folder, step=step, weights=weights_of(step), state=state, record=record, run_id=run_id, keep=keep)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def refusal(path: Path) -> str | None:
    """The code with which a checkpoint is refused; None where it is accepted."""
    try:
        load(path)
    except WeightsError as error:
        return error.code
    return None


# What comes back


@pytest.mark.parametrize(
    "dtype",
    ["float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool"],
)
@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (5,), (2, 3, 5)])
def test_a_tensor_of_any_type_and_shape_comes_back_bit_for_bit(tmp_path, dtype, shape):
    tensor = (torch.randn(shape, generator=torch.Generator().manual_seed(0)) * 50).to(getattr(torch, dtype))
    path = save(tmp_path, step=1, weights={"x": tensor, "y": torch.ones(3)}, state={}, record={}, run_id="r")
    found = load(path)
    assert found.weights["x"].dtype == tensor.dtype and found.weights["x"].shape == tensor.shape
    assert torch.equal(found.weights["x"].reshape(-1).view(torch.uint8), tensor.reshape(-1).view(torch.uint8))
    assert torch.equal(found.weights["y"], torch.ones(3)) and found.state == {}


def test_views_shared_storage_and_channels_last_come_back_as_their_values(tmp_path):
    base = torch.arange(48.0).reshape(1, 3, 4, 4)
    parameter = torch.nn.Parameter(torch.arange(6.0))
    weights = {
        "transposed": base.transpose(1, 3),
        "strided": base[..., ::2],
        "same": base,
        "again": base,
        "channels_last": base.contiguous(memory_format=torch.channels_last),
        "expanded": torch.tensor([1.5]).expand(4, 5),
        "parameter": parameter,
    }
    found = load(save(tmp_path, step=1, weights=weights, state={}, record={}, run_id="r")).weights
    assert list(found) and all(torch.equal(found[name], tensor) for name, tensor in weights.items())


def test_the_record_comes_back_equal_and_the_path_and_step_are_told(tmp_path):
    record = {"epoch": 3, "lr": 0.1 + 0.2, "seed": 2**80, "name": "é\n", "best": None, "done": False, "list": [1, {}]}
    path = save(tmp_path / "a" / "b", step=1234, weights={}, state={}, record=record, run_id="r")
    found = load(path)
    assert (found.record, found.step, found.path, path.name) == (record, 1234, path, "step-00001234")


def test_the_weights_are_an_ordinary_safetensors_file(tmp_path):
    path = saved(tmp_path, 7)
    found = load_file(path / "weights.safetensors")
    assert all(torch.equal(found[name], tensor) for name, tensor in weights_of(7).items())


def test_every_tensor_of_a_file_starts_at_a_multiple_of_its_width(tmp_path):
    weights = {"a": torch.ones(3, dtype=torch.bool), "b": torch.ones(3), "c": torch.ones(1, dtype=torch.float16)}
    content = (save(tmp_path, step=1, weights=weights, state={}, record={}, run_id="r") / FILES[0]).read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    assert length % 8 == 0
    assert all(header[name]["data_offsets"][0] % tensor.itemsize == 0 for name, tensor in weights.items())


def test_a_checkpoint_loads_where_unpickling_is_impossible(tmp_path, monkeypatch):
    def poisoned(*arguments, **options):
        raise AssertionError("something was unpickled")

    for name in ("load", "loads", "dump", "dumps", "Unpickler", "Pickler"):
        monkeypatch.setattr(pickle, name, poisoned)
    monkeypatch.setattr(torch, "load", poisoned)
    monkeypatch.setattr(torch, "save", poisoned)
    assert load(saved(tmp_path, 1)).step == 1


def test_modes_follow_the_umask(tmp_path):
    for mask in (0o022, 0o077, 0o002):
        before = os.umask(mask)
        try:
            path = saved(tmp_path / oct(mask), 1)
        finally:
            os.umask(before)
        assert stat.S_IMODE(path.stat().st_mode) == 0o777 & ~mask
        assert {stat.S_IMODE((path / name).stat().st_mode) for name in FILES} == {0o666 & ~mask}


def test_nothing_about_the_user_or_the_machine_is_written(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/home/unmistakable-home")
    monkeypatch.setenv("USER", "unmistakable-user")
    monkeypatch.setenv("TOKEN", "unmistakable-token")
    path = saved(tmp_path / "unmistakable-folder", 1)
    written = b"".join((path / name).read_bytes() for name in FILES)
    assert b"unmistakable" not in written and os.uname().nodename.encode() not in written


# What is refused when saving


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("place", ["weights", "state"])
def test_a_tensor_that_is_not_finite_is_named_and_never_written(tmp_path, value, dtype, place):
    saved(tmp_path, 1)
    bad = torch.ones(2, 3, dtype=dtype)
    bad[1, 2] = value
    tensors = {"weights": {"fc8.weight": torch.ones(2)}, "state": {"ema": torch.ones(2)}}
    tensors[place]["conv3_1.weight"] = bad
    with pytest.raises(NumericalError, match=r"conv3_1\.weight: 1 of 6 values") as caught:
        save(tmp_path, step=2, weights=tensors["weights"], state=tensors["state"], record={}, run_id="run-a")
    assert caught.value.code == "TRAIN-NONFINITE"
    assert names(tmp_path) == ["step-00000001"]


def test_a_record_that_is_not_finite_is_refused_with_its_key(tmp_path):
    with pytest.raises(NumericalError, match=r"record\.metrics\[1\]\.loss is nan") as caught:
        save(tmp_path, step=1, weights={}, state={}, record={"metrics": [{}, {"loss": float("nan")}]}, run_id="r")
    assert caught.value.code == "TRAIN-NONFINITE" and names(tmp_path) == []


@pytest.mark.parametrize("value", [{1: "one"}, Path("x"), torch.ones(1), {"a", "b"}])
def test_a_record_that_json_would_change_is_refused_with_its_key(tmp_path, value):
    with pytest.raises(WeightsError, match=r"record\.config is not JSON") as caught:
        save(tmp_path, step=1, weights={}, state={}, record={"config": value}, run_id="r")
    assert caught.value.code == "CKP-RECORD" and names(tmp_path) == []


def test_a_type_that_a_checkpoint_does_not_hold_is_refused_with_its_name(tmp_path):
    saved(tmp_path, 1)
    with pytest.raises(WeightsError, match=r"fft has type torch\.complex64"):
        save(tmp_path, step=2, weights={"fft": torch.ones(2, dtype=torch.complex64)}, state={}, record={}, run_id="r")
    assert names(tmp_path) == ["step-00000001"]


def test_keeping_no_checkpoint_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="at least 1"):
        saved(tmp_path, 1, keep=0)


# What is refused when loading


def accepted_flips(path: Path, *, trials: int, seed: int, files: tuple[str, ...] = FILES) -> list[str]:
    """Flip one random bit at a time; return the flips after which the checkpoint was accepted."""
    chance, accepted = random.Random(seed), []
    for _ in range(trials):
        file = path / chance.choice(files)
        good = file.read_bytes()
        bit = chance.randrange(8 * len(good))
        flipped = bytearray(good)
        flipped[bit // 8] ^= 1 << bit % 8
        file.write_bytes(flipped)
        if refusal(path) is None:
            accepted.append(f"bit {bit} of {file.name}")
        file.write_bytes(good)
    assert refusal(path) is None  # the checkpoint itself is good, so that refusing everything is no success
    return accepted


def test_no_flipped_bit_is_accepted(tmp_path):
    assert accepted_flips(saved(tmp_path, 1), trials=300, seed=0) == []


@pytest.mark.slow
def test_no_flipped_bit_of_ten_thousand_is_accepted(tmp_path):
    assert accepted_flips(saved(tmp_path, 1), trials=10_000, seed=1) == []


def unhashed(path: Path, *, expected: manifest.File) -> list[bytes]:
    return [path.read_bytes() if path.is_file() else b""]


def test_without_the_hashes_flipped_bits_are_accepted(tmp_path, monkeypatch):
    monkeypatch.setattr(manifest, "checked", unhashed)
    assert len(accepted_flips(saved(tmp_path, 1), trials=100, seed=0)) > 30


def test_without_the_seal_flipped_bits_of_the_manifest_are_accepted(tmp_path, monkeypatch):
    path = saved(tmp_path, 1)
    monkeypatch.setattr(manifest, "_seal", lambda body: ANY)
    assert accepted_flips(path, trials=200, seed=0, files=("MANIFEST.json",))


def test_a_flipped_bit_is_told_with_file_and_both_hashes(tmp_path):
    path = saved(tmp_path, 1)
    expected = json.loads((path / "MANIFEST.json").read_text())["files"]["state.json"]["sha256"]
    text = (path / "state.json").read_text()
    (path / "state.json").write_text(text.replace("cat", "bat"))
    with pytest.raises(WeightsError) as caught:
        load(path)
    assert caught.value.code == "CKP-CORRUPT" and caught.value.exit_code == 4
    assert str(path / "state.json") in caught.value.message and expected in caught.value.message
    assert "is" in caught.value.message and "Resume" in caught.value.hint


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_cut_extended_emptied_missing_or_no_file_is_refused(tmp_path, name):
    path = saved(tmp_path, 1)
    good = (path / name).read_bytes()
    for length in [0, 1, *range(0, len(good), 97), len(good) - 1]:
        (path / name).write_bytes(good[:length])
        assert refusal(path) == "CKP-CORRUPT", f"{name} cut to {length} of {len(good)} bytes"
    for tail in (b"\0", b"\n", good, b"x" * 100_000):
        (path / name).write_bytes(good + tail)
        assert refusal(path) == "CKP-CORRUPT", f"{name} extended by {tail[:5]!r}"
    (path / name).unlink()
    assert refusal(path) == "CKP-MISSING"
    (path / name).mkdir()
    assert refusal(path) == "CKP-MISSING"
    (path / name).rmdir()
    os.mkfifo(path / name)
    assert refusal(path) == "CKP-MISSING"  # and does not wait for a writer
    (path / name).unlink()
    (path / name).write_bytes(good)
    assert refusal(path) is None


@pytest.mark.parametrize("name", FILES)
def test_a_file_grown_large_is_refused_without_being_read(tmp_path, name):
    path = saved(tmp_path, 1)
    os.truncate(path / name, 50_000_000)
    tracemalloc.start()
    try:
        assert refusal(path) == "CKP-CORRUPT"
        assert tracemalloc.get_traced_memory()[1] < 5_000_000  # bytes at most at one time
    finally:
        tracemalloc.stop()


def test_a_file_of_another_length_is_told_with_both_lengths(tmp_path):
    path = saved(tmp_path, 1)
    length = (path / "state.json").stat().st_size
    os.truncate(path / "state.json", 5)
    with pytest.raises(WeightsError, match=rf"state\.json: it has 5 bytes instead of {length}"):
        load(path)


@pytest.mark.parametrize("name", FILES)
def test_a_file_swapped_between_two_checkpoints_is_refused(tmp_path, name):
    one, two = saved(tmp_path / "a", 1), saved(tmp_path / "b", 2, run_id="run-b")
    shutil.copyfile(two / name, one / name)
    assert refusal(one) == "CKP-CORRUPT"


def test_a_whole_checkpoint_of_another_run_is_told_by_its_run(tmp_path):
    saved(tmp_path / "a", 1)
    shutil.copytree(saved(tmp_path / "b", 2, run_id="run-b"), tmp_path / "a" / "step-00000002")
    found, skipped = latest(tmp_path / "a", run_id="run-a")
    assert found is not None and found.step == 1
    assert "belongs to run run-b, not to run run-a" in skipped[0].reason
    with pytest.raises(WeightsError) as caught:
        load(tmp_path / "a" / "step-00000002", run_id="run-a")
    assert caught.value.code == "CKP-OTHER-RUN"


def test_two_checkpoints_that_changed_names_are_refused(tmp_path):
    one, two = saved(tmp_path, 1), saved(tmp_path, 2)
    one.rename(tmp_path / "x")
    two.rename(one)
    (tmp_path / "x").rename(two)
    assert (refusal(one), refusal(two)) == ("CKP-CORRUPT", "CKP-CORRUPT")


def resealed(path: Path, **changes: object) -> None:
    body = json.loads((path / "MANIFEST.json").read_text())
    del body["sha256"]
    (path / "MANIFEST.json").write_bytes(manifest._seal({**body, **changes}))


def test_a_newer_schema_is_told_from_damage_and_never_passed_over(tmp_path):
    saved(tmp_path, 1)
    path = saved(tmp_path, 2)
    resealed(path, schema=manifest.SCHEMA + 1)
    with pytest.raises(WeightsError, match="newer verydeep: checkpoint schema 2, this one reads up to 1") as caught:
        load(path)
    assert caught.value.code == "CKP-NEWER" and caught.value.hint == "Upgrade verydeep."
    with pytest.raises(WeightsError, match="newer verydeep"):
        latest(tmp_path)


@pytest.mark.parametrize(
    "changes",
    [
        {"files": {}},
        {"files": []},
        {"files": {"../../escape": {"bytes": 1, "sha256": ""}}},
        {"files": {name: {"bytes": "many", "sha256": ""} for name in FILES[:3]}},
        {"files": {name: {} for name in FILES[:3]}},
        {"step": "one"},
        {"step": None},
        {"step": [1]},
        {"files": None},
    ],
)
def test_a_well_sealed_manifest_that_is_not_one_is_refused(tmp_path, changes):
    path = saved(tmp_path, 1)
    resealed(path, **changes)
    assert refusal(path) == "CKP-CORRUPT"


@pytest.mark.parametrize("text", [b"", b"null", b"[]", b"{}", b"[" * 60_000, b"{" * 100, b"\xff\xfe", b"1" * 60_000])
def test_a_manifest_of_anything_else_is_refused(tmp_path, text):
    path = saved(tmp_path, 1)
    (path / "MANIFEST.json").write_bytes(text)
    assert refusal(path) == "CKP-CORRUPT"


@pytest.mark.parametrize("name", ["weights.safetensors", "state.json"])
@pytest.mark.parametrize("content", [b"", b"[]", b"[" * 100_000, b"\x08" + b"\0" * 7 + b"12345678", b"\xff" * 16])
def test_content_that_was_hashed_well_but_is_no_checkpoint_is_refused(tmp_path, name, content):
    path = saved(tmp_path, 1)
    (path / name).unlink()
    length, digest = write_synced(path / name, [content])
    files = json.loads((path / "MANIFEST.json").read_text())["files"]
    resealed(path, files={**files, name: {"bytes": length, "sha256": digest}})
    assert refusal(path) == "CKP-CORRUPT"


def test_a_checkpoint_that_is_not_there_or_is_a_file_is_missing(tmp_path):
    (tmp_path / "step-00000001").write_text("a file")
    assert (refusal(tmp_path / "step-00000001"), refusal(tmp_path / "nowhere")) == ("CKP-MISSING", "CKP-MISSING")
    assert latest(tmp_path) == latest(tmp_path / "nowhere") == (None, ())


# Falling back


def damage(path: Path, chance: random.Random) -> None:
    file = path / chance.choice(FILES)
    kind = chance.choice(("flip", "cut", "extend", "delete", "empty"))
    content = bytearray(file.read_bytes())
    file.unlink()
    if kind == "flip":
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    elif kind == "cut":
        del content[chance.randrange(len(content)) :]
    elif kind == "extend":
        content += b"\0"
    elif kind == "empty":
        content.clear()
    if kind != "delete":
        file.write_bytes(content)


def fallback_faults(folder: Path, *, trials: int) -> list[str]:
    """Damage the newest 1, 2 or 3 of five; return what `latest` got wrong."""
    faults = []
    for trial in range(trials):
        chance = random.Random(trial)
        shutil.rmtree(folder, ignore_errors=True)
        paths = [saved(folder, step) for step in (1, 2, 3, 4, 5)]
        count = chance.choice((1, 2, 3))
        for path in paths[-count:]:
            damage(path, chance)
        found, skipped = latest(folder, run_id="run-a")
        if found is None or not torch.equal(found.weights["conv1_1.weight"], weights_of(5 - count)["conv1_1.weight"]):
            faults.append(f"trial {trial}: took {found}")
        if [one.path for one in skipped] != paths[: -count - 1 : -1] or not all(one.reason for one in skipped):
            faults.append(f"trial {trial}: told {skipped}")
    return faults


def test_damaged_ones_are_passed_over_and_named(tmp_path):
    assert fallback_faults(tmp_path / "checkpoints", trials=30) == []


def test_without_the_hashes_damaged_ones_are_taken(tmp_path, monkeypatch):
    monkeypatch.setattr(manifest, "checked", unhashed)
    assert any("took" in fault for fault in fallback_faults(tmp_path / "checkpoints", trials=10))


def test_one_that_cannot_be_read_now_is_passed_over_but_not_removed(tmp_path, monkeypatch):
    saved(tmp_path, 1)
    two = saved(tmp_path, 2)
    real = manifest.checked

    def broken(path: Path, *, expected: manifest.File):
        with manifest.reading(path):
            if path.parent == two:
                raise OSError(errno.EIO, "Input/output error")
            yield from real(path, expected=expected)

    monkeypatch.setattr(manifest, "checked", broken)
    found, skipped = latest(tmp_path)
    assert found is not None and found.step == 1 and "Input/output error" in skipped[0].reason
    saved(tmp_path, 3, keep=3)
    assert "step-00000002" in names(tmp_path)


# What stays


def test_the_newest_are_kept_and_the_rest_go(tmp_path):
    for step in range(1, 6):
        saved(tmp_path, step, keep=2)
    assert names(tmp_path) == ["step-00000004", "step-00000005"]
    saved(tmp_path, 6, keep=1)
    assert names(tmp_path) == ["step-00000006"]


def test_damaged_ones_do_not_count_as_kept(tmp_path):
    for step in (1, 2, 3):
        saved(tmp_path, step)
    (tmp_path / "step-00000003" / "state.json").write_text("{}")
    (tmp_path / "step-00000002" / "MANIFEST.json").unlink()
    saved(tmp_path, 4, keep=2)
    assert names(tmp_path) == ["step-00000001", "step-00000004"]


def test_going_back_removes_the_other_future(tmp_path):
    for step in (10, 20, 30):
        saved(tmp_path, step)
    saved(tmp_path, 15, keep=2)
    assert names(tmp_path) == ["step-00000010", "step-00000015"]


def test_another_runs_and_a_newer_versions_checkpoints_are_left_alone(tmp_path):
    saved(tmp_path, 1, run_id="run-b")
    resealed(saved(tmp_path, 2), schema=manifest.SCHEMA + 1)
    saved(tmp_path, 3, keep=1)
    assert names(tmp_path) == ["step-00000001", "step-00000002", "step-00000003"]
    with pytest.raises(WeightsError, match="belongs to run run-b"):
        saved(tmp_path, 1)
    assert load(tmp_path / "step-00000001").record["epoch"] == 1
    assert names(tmp_path) == ["step-00000001", "step-00000002", "step-00000003"]


def test_saving_a_step_again_replaces_it(tmp_path):
    saved(tmp_path, 1)
    path = save(tmp_path, step=1, weights={}, state={}, record={"second": True}, run_id="run-a")
    assert load(path).record == {"second": True} and names(tmp_path) == ["step-00000001"]


def test_saving_a_step_again_replaces_what_a_kill_had_left_aside_too(tmp_path):
    path = saved(tmp_path, 1)
    shutil.copytree(path, tmp_path / "step-00000001.old")
    save(tmp_path, step=1, weights={}, state={}, record={"second": True}, run_id="run-a")
    assert load(path).record == {"second": True} and names(tmp_path) == ["step-00000001"]


def test_one_that_was_put_aside_still_loads(tmp_path):
    saved(tmp_path, 1)
    saved(tmp_path, 2).rename(tmp_path / "step-00000002.old")
    found, skipped = latest(tmp_path)
    assert found is not None and found.step == 2 and skipped == ()


def test_what_killed_saves_left_is_removed_by_the_next(tmp_path):
    (tmp_path / ".unfinished-step-00000007").mkdir()
    (tmp_path / ".unfinished-step-00000007" / "weights.safetensors").write_bytes(b"half")
    (tmp_path / ".unfinished-gone-step-00000003").mkdir()
    (tmp_path / ".unfinished-probe").write_text("")
    (tmp_path / ".unfinished-link").symlink_to(tmp_path)
    (tmp_path / "notes.txt").write_text("the user's")
    saved(tmp_path, 7)
    assert names(tmp_path) == ["notes.txt", "step-00000007"]


def losing(path: Path, parts) -> tuple[int, str]:
    """A disk that says it has written, and has not."""
    told = write_synced(path, parts)
    if path.name == "state.safetensors":
        path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    return told


def test_nothing_is_removed_when_the_new_one_does_not_read_back(tmp_path, monkeypatch):
    saved(tmp_path, 1, keep=1)
    monkeypatch.setattr(checkpoint, "write_synced", losing)
    with pytest.raises(ResourceError, match=r"did not keep what was written: .*state\.safetensors") as caught:
        saved(tmp_path, 2, keep=1)
    assert caught.value.code == "DISK-ERROR" and names(tmp_path) == ["step-00000001"]
    assert latest(tmp_path)[0] is not None


def test_without_reading_back_the_only_good_one_is_lost(tmp_path, monkeypatch):
    saved(tmp_path, 1, keep=1)
    monkeypatch.setattr(checkpoint, "write_synced", losing)
    monkeypatch.setattr(checkpoint, "_read_back", lambda temporary, *, run_id: None)
    saved(tmp_path, 2, keep=1)
    assert latest(tmp_path)[0] is None


# Faults of the disk, at every call

CALLS = ("write", "fsync", "rename", "mkdir", "unlink", "rmdir")


def failing_at(position: int, code: int) -> tuple[pytest.MonkeyPatch, list[str]]:
    """Make the `position`-th call that touches the disk fail with `code`; the list tells which one it was."""
    patch, seen, struck = pytest.MonkeyPatch(), [], []

    def wrapped(real: Callable, name: str) -> Callable:
        def call(*arguments, **options):
            seen.append(name)
            if len(seen) == position:
                struck.append(name)
                raise OSError(code, os.strerror(code))
            return real(*arguments, **options)

        return call

    for name in CALLS:
        patch.setattr(os, name, wrapped(getattr(os, name), name))
    return patch, struck


def disk_faults(folder: Path, code: int, *, expected: str) -> tuple[list[str], int]:
    """Fail every call of one save in turn; return what was wrong afterwards, and how many calls failed."""
    faults, position = [], 0
    while True:
        position += 1
        shutil.rmtree(folder, ignore_errors=True)
        saved(folder, 1)
        saved(folder, 2)
        patch, struck = failing_at(position, code)
        told = None
        try:
            saved(folder, 3, keep=1)
        except Exception as error:
            told = error
        finally:
            patch.undo()
        if not struck:
            return faults, position - 1
        where = f"{struck[0]} at call {position}"
        if told is None and names(folder) == ["step-00000003"]:
            continue  # making the folder that is there already: its failure means nothing
        if not isinstance(told, ResourceError) or told.code != expected or str(folder) not in told.message:
            faults.append(f"{where}: told {told!r}")
        found, skipped = latest(folder, run_id="run-a")
        if found is None or found.step not in (2, 3) or skipped:
            faults.append(f"{where}: found {found}, skipped {skipped}")
        if struck[0] in ("write", "mkdir") and names(folder) != ["step-00000001", "step-00000002"]:
            faults.append(f"{where}: left {names(folder)}")
        saved(folder, 4, keep=1)
        if names(folder) != ["step-00000004"]:
            faults.append(f"{where}: the next save left {names(folder)}")


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (errno.ENOSPC, "DISK-FULL"),
        (errno.EDQUOT, "DISK-FULL"),
        (errno.EFBIG, "DISK-FULL"),
        (errno.EIO, "DISK-ERROR"),
        (errno.EROFS, "DISK-ERROR"),
    ],
)
def test_a_disk_that_fails_at_any_call_leaves_the_old_ones(tmp_path, code, expected):
    faults, calls = disk_faults(tmp_path / "checkpoints", code, expected=expected)
    assert faults == [] and calls > 25


def test_without_the_translation_a_disk_fault_is_a_bare_oserror(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "disk_errors", lambda folder, *, bytes_needed: pytest.MonkeyPatch.context())
    faults, _ = disk_faults(tmp_path / "checkpoints", errno.ENOSPC, expected="DISK-FULL")
    assert any("told OSError" in fault for fault in faults)


def test_without_cleaning_a_disk_fault_leaves_half_a_checkpoint(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint.shutil, "rmtree", keeping_unfinished(shutil.rmtree))
    faults, _ = disk_faults(tmp_path / "checkpoints", errno.ENOSPC, expected="DISK-FULL")
    assert any(".unfinished-step-00000003" in fault for fault in faults)


def keeping_unfinished(real: Callable) -> Callable:
    def rmtree(path: Path, ignore_errors: bool = False) -> None:
        if not (ignore_errors and Path(path).name.startswith(".unfinished")):
            real(path, ignore_errors=ignore_errors)

    return rmtree


def test_a_write_that_takes_a_part_only_is_continued(tmp_path, monkeypatch):
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, data[:7]))
    path = saved(tmp_path, 1)
    monkeypatch.undo()
    assert torch.equal(load(path).weights["conv1_1.weight"], weights_of(1)["conv1_1.weight"])


def test_the_message_of_a_full_disk_says_need_space_and_place(tmp_path):
    patch, _ = failing_at(3, errno.ENOSPC)
    try:
        with pytest.raises(ResourceError, match=r"needs \d+\.\d MB, has \d+\.\d MB in ") as caught:
            saved(tmp_path, 1)
    finally:
        patch.undo()
    assert caught.value.exit_code == 6 and str(tmp_path) in caught.value.message


# The order that survives a power cut


def operations(folder: Path, *, step: int = 2) -> list[tuple[str, str]]:
    """What a save of `step` over an old checkpoint of step 1 asks of the disk: (call, path), in order."""
    saved(folder, 1)
    seen: list[tuple[str, str]] = []
    patch = pytest.MonkeyPatch()

    def path_of(argument: int | str | Path, options: dict) -> str:
        if isinstance(argument, int):
            return str(Path(f"/proc/self/fd/{argument}").readlink())
        held = options.get("dir_fd")
        return str(argument) if held is None else f"{path_of(held, {})}/{argument}"

    def wrapped(real: Callable, name: str) -> Callable:
        def call(*arguments, **options):
            seen.append((name, path_of(arguments[0], options)))
            return real(*arguments, **options)

        return call

    with patch.context() as patched:
        for name in CALLS:
            patched.setattr(os, name, wrapped(getattr(os, name), name))
        saved(folder, step, keep=1)
    return seen


def order_faults(seen: list[tuple[str, str]], folder: Path) -> list[str]:
    """Where a power cut could leave nothing: a rename on disk before its content, a removal before the rename."""
    faults = []
    temporary = str(folder / ".unfinished-step-00000002")
    placed = seen.index(("rename", temporary))
    for name in FILES:
        file = f"{temporary}/{name}"
        written = max(index for index, one in enumerate(seen) if one == ("write", file))
        if ("fsync", file) not in seen[written:placed]:
            faults.append(f"{name} is not synced between its last write and the rename")
        if name != "MANIFEST.json" and ("write", f"{temporary}/MANIFEST.json") in seen[:written]:
            faults.append(f"{name} is written after the manifest")
        if ("fsync", temporary) not in seen[written:placed]:
            faults.append(f"the folder is not synced between {name} and the rename")
    removals = [index for index, (call, path) in enumerate(seen) if "step-00000001" in path and call != "fsync"]
    if not removals:
        faults.append("nothing was removed, so that its order was not seen")
    if removals and ("fsync", str(folder)) not in seen[placed : removals[0]]:
        faults.append("the old one goes before the new one's name is synced")
    return faults


def test_a_power_cut_finds_the_new_one_whole_before_the_old_one_goes(tmp_path):
    assert order_faults(operations(tmp_path), tmp_path) == []


def put_aside_durably(seen: list[tuple[str, str]], folder: Path) -> bool:
    aside = seen.index(("rename", str(folder / "step-00000001")))
    placed = seen.index(("rename", str(folder / ".unfinished-step-00000001")))
    return ("fsync", str(folder)) in seen[aside:placed]


def test_one_of_the_same_step_is_put_aside_durably_before_another_takes_its_name(tmp_path):
    assert put_aside_durably(operations(tmp_path, step=1), tmp_path)


def test_without_syncing_it_is_not_put_aside_durably(tmp_path, monkeypatch):
    monkeypatch.setattr(retention, "sync_folder", lambda folder: None)
    assert not put_aside_durably(operations(tmp_path, step=1), tmp_path)


def test_without_syncing_folders_the_order_is_found_wrong(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "sync_folder", lambda folder: None)
    faults = order_faults(operations(tmp_path), tmp_path)
    assert "the old one goes before the new one's name is synced" in faults and len(faults) == 5


def test_without_syncing_files_the_order_is_found_wrong(tmp_path, monkeypatch):
    def unsynced(path: Path, parts) -> tuple[int, str]:
        content = b"".join(parts)
        descriptor = os.open(path, os.O_CREAT | os.O_WRONLY)
        os.write(descriptor, content)
        os.close(descriptor)
        return len(content), hashlib.sha256(content).hexdigest()

    monkeypatch.setattr(checkpoint, "write_synced", unsynced)
    faults = order_faults(operations(tmp_path), tmp_path)
    assert sum("is not synced between its last write" in fault for fault in faults) == len(faults) == 4


def test_removing_the_old_one_early_is_found_wrong(tmp_path, monkeypatch):
    def rotate_first(target: Path, *, run_id: str) -> None:
        shutil.rmtree(tmp_path / "step-00000001", ignore_errors=True)

    monkeypatch.setattr(checkpoint, "make_way", rotate_first)
    assert order_faults(operations(tmp_path), tmp_path) == ["the old one goes before the new one's name is synced"]


# Room, before the first step


def test_too_little_room_is_told_before_the_first_step(tmp_path):
    check_space(tmp_path / "run" / "checkpoints", bytes_needed=1000)
    assert names(tmp_path / "run" / "checkpoints") == []
    with pytest.raises(ResourceError, match=r"needs 1000000000000\.0 MB, has \d+\.\d MB in ") as caught:
        check_space(tmp_path, bytes_needed=10**18)
    assert caught.value.code == "DISK-FULL" and names(tmp_path) == ["run"]


def test_a_place_that_cannot_be_written_is_told_before_the_first_step(tmp_path):
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "checkpoints", Path("/proc/verydeep"), tmp_path / ("x" * 300)):
        with pytest.raises(ResourceError, match="cannot write in ") as caught:
            check_space(place, bytes_needed=1)
        assert caught.value.code == "DISK-ERROR" and str(place)[:20] in caught.value.message


def test_a_folder_deleted_during_the_run_is_made_again(tmp_path):
    saved(tmp_path / "run" / "checkpoints", 1)
    shutil.rmtree(tmp_path / "run")
    assert load(saved(tmp_path / "run" / "checkpoints", 2)).step == 2
