"""Posteriors fused at once, or saved and fused later; what is damaged or does not belong together is refused."""

import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.evaluation.nets import CLASSES, a_run
from tests.evaluation.test_protocols import in_memory, pictures
from verydeep.errors import ConfigError, DataError, ResourceError, WeightsError
from verydeep.evaluation import saved
from verydeep.evaluation.ensemble import fuse
from verydeep.evaluation.posteriors import Posteriors, posteriors
from verydeep.evaluation.protocol import protocol_for

pytestmark = pytest.mark.usefixtures("compiled")


@pytest.fixture(scope="module")
def three() -> list[Posteriors]:
    """Three networks on one set of images, each by a protocol of its own."""
    images = in_memory(pictures(4, channels=3))
    runs = [a_run(seed=seed) for seed in (1, 2, 3)]
    kinds = ("center", "dense", "ten-crop")
    return [posteriors(run, images, protocol=protocol_for(run, kind)) for run, kind in zip(runs, kinds, strict=True)]


def test_fused_posteriors_are_the_mean_and_say_where_they_come_from(three):
    found = fuse(three)
    assert np.abs(found.array - np.mean([one.array for one in three], axis=0)).max() <= 1e-15
    assert [(one.run, one.protocol) for one in found.members] == [
        ("run-1", "center"),
        ("run-2", "dense"),
        ("run-3", "ten-crop"),
    ]
    assert np.abs(found.array - three[0].array).max() > 0.01


def test_saved_and_fused_later_is_fused_at_once(three, tmp_path: Path):
    for number, one in enumerate(three):
        saved.save(one, tmp_path / f"{number}.npz")
    later = fuse([saved.load(tmp_path / f"{number}.npz") for number in range(3)])
    at_once = fuse(three)
    assert np.array_equal(later.array, at_once.array)
    assert np.array_equal(later.labels, at_once.labels)
    assert (later.classes, later.engine, later.images, later.members) == (
        at_once.classes,
        at_once.engine,
        at_once.images,
        at_once.members,
    )


def test_each_network_counts_the_same_also_one_that_was_fused_before(three):
    first, second, third = three
    assert np.abs(fuse([fuse([first, second]), third]).array - fuse(three).array).max() <= 1e-15


def test_a_run_counts_once(three):
    first, second, third = three
    again = replace(first, members=(replace(first.members[0], run=str(Path("run-1").absolute())),))
    for parts in ([first, first], [first, again], [fuse([first, second]), second], [first, fuse([third, first])]):
        with pytest.raises(ConfigError, match="is there twice, and would count twice") as refused:
            fuse(parts)
        assert refused.value.code == "FUSE-TWICE"


def test_a_run_by_other_protocols_or_scales_may_be_fused_with_itself(three):
    first = three[0]
    (member,) = first.members
    others = [replace(member, protocol="dense"), replace(member, scales=(20,)), replace(member, flip=True)]
    found = fuse([first, *(replace(first, members=(other,)) for other in others)])
    assert found.members == (member, *others)


def test_other_classes_are_refused_with_the_first_that_differs(three):
    other = replace(three[1], classes=("ant", "bee", "cow", "dog", "elk"))
    with pytest.raises(ConfigError, match="run-1 and run-2 cannot be fused: class 2 is 'cat' and 'cow'") as refused:
        fuse([three[0], other])
    assert refused.value.code == "FUSE-CLASSES"
    with pytest.raises(ConfigError, match="cannot be fused: 5 and 4 classes"):
        fuse([three[0], replace(other, classes=CLASSES[:4])])


def test_posteriors_of_other_images_are_refused(three):
    run = a_run(seed=2)
    images = in_memory(pictures(4, channels=3, sizes=[(19, 28)]))
    with pytest.raises(
        ConfigError, match="run-1 and run-2 cannot be fused: they were tested on other images"
    ) as refused:
        fuse([three[0], posteriors(run, images, protocol=protocol_for(run))])
    assert refused.value.code == "FUSE-IMAGES"


def written(folder: Path, **changes: object) -> Path:
    """A file like those of `save`, with some members changed or left out (None)."""
    record = {
        "classes": CLASSES,
        "engine": "e",
        "images": "i",
        "members": [{"run": "r", "protocol": "center", "scales": [16], "flip": False}],
    }
    members = {"posteriors": np.full((3, 5), 0.2), "labels": np.array([0, 1, 4]), "record": record, **changes}
    if isinstance(members["record"], dict):
        members["record"] = np.frombuffer(json.dumps(members["record"]).encode(), np.uint8)
    path = folder / "x.npz"
    np.savez(path, **{name: value for name, value in members.items() if value is not None})
    return path


def test_the_file_that_is_written_here_can_be_read(tmp_path: Path):
    assert saved.load(written(tmp_path)).classes == CLASSES


def with_scales(text: str) -> np.ndarray:
    """A record whose scales are this text in JSON."""
    record = {"classes": CLASSES, "engine": "e", "images": "i"}
    member = f'{{"run": "r", "protocol": "center", "scales": {text}, "flip": false}}'
    return np.frombuffer(f'{json.dumps(record)[:-1]}, "members": [{member}]}}'.encode(), np.uint8)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"labels": None}, "members have other names"),
        ({"more": np.zeros(1)}, "members have other names"),
        ({"posteriors": np.full((3, 4), 0.25)}, r"posteriors are float64 \[3, 4\] for 5 classes"),
        ({"posteriors": np.full((3, 5), 0.2, np.float32)}, "posteriors are float32"),
        ({"posteriors": np.zeros((0, 5)), "labels": np.zeros(0, int)}, r"posteriors are float64 \[0, 5\]"),
        ({"posteriors": np.full((3, 5), 0.3)}, "are not probabilities"),
        ({"posteriors": np.full((3, 5), np.nan)}, "are not probabilities"),
        ({"posteriors": np.array([[1.5, -0.5, 0, 0, 0]] * 3)}, "are not probabilities"),
        ({"posteriors": np.array([[{}] * 5] * 3)}, "allow_pickle=False"),
        ({"labels": np.array([0, 1])}, "labels are not those"),
        ({"labels": np.array([0, 1, 5])}, "labels are not those"),
        ({"labels": np.array([0.0, 1.0, 2.0])}, "labels are not those"),
        ({"record": np.frombuffer(b"{", np.uint8)}, "Expecting property name"),
        ({"record": np.frombuffer(b"[]", np.uint8)}, "list indices"),
        ({"record": {"classes": CLASSES, "engine": "e", "images": "i", "members": []}}, "no run is named"),
        ({"record": {"classes": CLASSES, "engine": "e", "images": "i", "members": [3]}}, "not subscriptable"),
        ({"record": {"classes": CLASSES, "engine": "e", "members": []}}, "images"),
        ({"record": with_scales("[1e999]")}, "the scales are not whole numbers"),
        ({"record": with_scales("[16.5]")}, "the scales are not whole numbers"),
        ({"record": with_scales('["16"]')}, "the scales are not whole numbers"),
        ({"record": with_scales("[true]")}, "the scales are not whole numbers"),
    ],
)  # fmt: skip
def test_a_damaged_file_is_refused_and_named(changes: dict[str, object], said: str, tmp_path: Path):
    path = written(tmp_path, **changes)
    with pytest.raises(DataError, match=said) as refused:
        saved.load(path)
    assert refused.value.code == "POSTERIORS-DAMAGED"
    assert str(refused.value).startswith(f"{path} holds no posteriors: ")


def test_a_compressed_cut_or_foreign_file_is_refused(tmp_path: Path):
    whole = written(tmp_path).read_bytes()
    arrays = dict(np.load(io.BytesIO(whole)))
    np.savez_compressed(tmp_path / "compressed.npz", **arrays)
    (tmp_path / "cut.npz").write_bytes(whole[:-40])
    (tmp_path / "text.npz").write_text("posteriors")
    place = whole.index(np.full(5, 0.2).tobytes())
    (tmp_path / "bit.npz").write_bytes(whole[:place] + b"\0" + whole[place + 1 :])
    locked = bytearray(whole)  # the encryption flag, in the archive's list of members
    locked[whole.index(b"PK\1\2") + 8] |= 1
    (tmp_path / "locked.npz").write_bytes(locked)
    (tmp_path / "empty.npz").touch()
    for name in ("compressed", "cut", "text", "bit", "locked", "empty"):
        with pytest.raises(DataError) as refused:
            saved.load(tmp_path / f"{name}.npz")
        assert refused.value.code == "POSTERIORS-DAMAGED", name
    with pytest.raises(WeightsError):
        saved.load(tmp_path / "missing.npz")


@pytest.mark.parametrize("rows", [2**40, 10**30])
def test_a_header_that_claims_more_than_the_file_holds_is_refused(rows: int, tmp_path: Path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (rows, 5)})
    path = written(tmp_path)
    with zipfile.ZipFile(path) as archive:
        others = {name: archive.read(name) for name in ("labels.npy", "record.npy")}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in ({"posteriors.npy": header.getvalue()} | others).items():
            archive.writestr(name, content)
    with pytest.raises(DataError) as refused:
        saved.load(path)
    assert refused.value.code == "POSTERIORS-DAMAGED"


def test_a_message_quotes_no_more_than_a_line_of_a_damaged_file(tmp_path: Path):
    path = written(tmp_path)
    content = bytearray(path.read_bytes())
    content[26:28] = (1000).to_bytes(2, "little")  # the length of the first member's name
    path.write_bytes(content)
    with pytest.raises(DataError) as refused:
        saved.load(path)
    assert refused.value.code == "POSTERIORS-DAMAGED"
    assert len(refused.value.message) < len(str(path)) + 250


def test_a_full_disk_leaves_the_old_file(three, tmp_path: Path, monkeypatch):
    path = tmp_path / "x.npz"
    saved.save(three[0], path)
    monkeypatch.setattr(
        "os.write", lambda descriptor, data: (_ for _ in ()).throw(OSError(28, "No space left on device"))
    )
    with pytest.raises(ResourceError):
        saved.save(three[1], path)
    assert np.array_equal(saved.load(path).array, three[0].array)
