"""An experiment from end to end on tiny trees: rows, fusion, baselines, refusals before anything is computed."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.data.images import photo
from tests.transfer.nets import photographs, small_run
from verydeep.data import catalog
from verydeep.data.split import MemorySplit
from verydeep.errors import ConfigError, DataError, ResourceError
from verydeep.families.vgg import vgg
from verydeep.settings.config import Config
from verydeep.transfer import baselines, descriptors, experiment, room, sets, table, table_11
from verydeep.transfer.aggregation import Aggregation
from verydeep.transfer.experiment import Plan, aggregation, features, transfer
from verydeep.transfer.labelled import Labelled, Partition, from_splits, one_each
from verydeep.transfer.partitions import Shares
from verydeep.weights.initial import initial

COLOURS = {"blue": (30, 30, 200), "green": (20, 160, 30), "red": (200, 40, 20)}
PLAN = Plan(scales=(16, 20), costs=(1.0, 100.0))


def tint(path: Path, colour, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((photo(20, 24, seed=seed) // 4 + np.array(colour) * 3 // 4).astype(np.uint8)).save(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Class folders of photographs of one colour each: 12 for training and 4 for the test."""
    home = tmp_path_factory.mktemp("data") / "colours"
    for number, (name, colour) in enumerate(COLOURS.items()):
        for i in range(16):
            tint(home / ("train" if i < 12 else "val") / name / f"{i:02d}.png", colour, seed=100 * number + i)
    return home


def never(*_, **__):
    pytest.fail("something was computed")


def test_a_row_for_each_run_for_both_and_for_the_baselines(folder):
    runs = [small_run(path="one"), small_run(seed=2, path="two")]
    found = transfer(runs, str(folder), plan=replace(PLAN, baselines=("random", "pixels")))
    names = ["one", "two", "one + two", "one, untrained", "two, untrained", "pixels 32x32"]
    assert [row.name for row in found.rows] == names
    assert [row.features for row in found.rows] == [48, 48, 96, 48, 48, 3 * 32 * 32]
    assert (found.data, found.classes, found.images, found.partitions) == ("colours", 3, 48, 1)
    assert found.rows[0].mean("mean-class-recall") == 1.0  # colours are easy
    assert found.rows[0].deviation("mean-class-recall") is None
    record = json.loads(json.dumps(table.to_json(found)))
    assert record["rows"][0]["measures"]["mean-class-recall"]["mean"] == 1.0
    assert record["rows"][0]["per_class"] == {"blue": 1.0, "green": 1.0, "red": 1.0}
    assert record["networks"][0]["layer"] == "relu4"
    assert record["networks"][0]["scales"] == [16, 20]
    assert "| one + two | 96 | 100.0 |" in table.to_markdown(found)
    assert "one + two" in table.to_text(found)


def test_fusion_stacks_what_each_network_says(folder, monkeypatch):
    labelled = sets.load(str(folder), channels=3, wishes=sets.Wishes())
    runs = [small_run(path="one"), small_run(seed=2, path="two")]
    each = [features(run, labelled, PLAN) for run in runs]
    for array in each:
        np.testing.assert_allclose(np.linalg.norm(array, axis=1), 1, atol=1e-6)
    assert np.abs(each[0] - each[1]).max() > 0.01
    judged = {}

    def judge(name, array, *rest, **how):
        judged[name] = array
        return real(name, array, *rest, **how)

    real = experiment.judge
    for module in (experiment, table_11):
        monkeypatch.setattr(module, "judge", judge)
    transfer(runs, labelled, plan=PLAN)
    assert np.array_equal(judged["one + two"], np.concatenate(each, axis=1))
    table_11.rows({"D": runs[:1], "E": runs[1:]}, labelled, plan=PLAN)
    assert np.array_equal(judged["D & E"], np.concatenate(each, axis=1))


def test_a_file_that_cannot_be_read_is_refused_before_features_are_computed(folder, tmp_path, monkeypatch):
    shutil.copytree(folder, tmp_path / "colours")
    (tmp_path / "colours" / "train" / "green" / "03.png").write_text("no image")
    labelled = sets.load(str(tmp_path / "colours"), channels=3, wishes=sets.Wishes())
    monkeypatch.setattr(descriptors, "dense_taps", never)
    for compute in (transfer, lambda runs, *rest, **how: table_11.rows({"D": runs}, *rest, **how)):
        with pytest.raises(DataError, match="1 of 48 images cannot be read") as refused:
            compute([small_run()], labelled, plan=PLAN)
        assert refused.value.code == "DATA-BAD-IMAGES"
        assert "--bad-images" not in str(refused.value.hint)


def test_a_c_that_is_not_above_0_is_refused_with_the_plan():
    with pytest.raises(ConfigError, match=r"C is one of \[0.0\]"):
        replace(PLAN, costs=(0.0,))


def test_a_folder_of_classes_alone_is_shared_out_by_chance(folder):
    shares = sets.Wishes(shares=Shares(partitions=2, train=5, test=3))
    found = transfer([small_run()], str(folder / "train"), plan=PLAN, wishes=shares)
    assert (found.partitions, found.images, len(found.rows[0].costs)) == (2, 36, 2)
    assert found.rows[0].deviation("mean-class-recall") is not None
    labelled = sets.load(str(folder / "train"), channels=3, wishes=shares)
    assert [(len(part.train), len(part.test)) for part in labelled.partitions] == [(15, 9)] * 2


def test_shares_are_refused_where_the_test_images_are_given(folder):
    with pytest.raises(ConfigError, match="has training and test images of its own"):
        sets.load(str(folder), channels=3, wishes=sets.Wishes(shares=Shares()))


def test_a_set_of_the_catalog_can_be_transferred_to_too():
    found = sets.load("digits", channels=3, wishes=sets.Wishes())
    train = catalog.load("digits", split="train")
    assert (len(found.classes), found.images[0].shape) == (10, (8, 8, 3))
    np.testing.assert_array_equal(found.images[5][:, :, 1], train.images[5, 0])
    assert found.truth[:, 3].max() == 1


def test_test_images_of_other_classes_are_refused():
    images, labels = np.zeros((4, 3, 8, 8), np.uint8), np.array([0, 1, 0, 1])
    one, two = (MemorySplit("x", classes, labels, images) for classes in (("a", "b"), ("a", "c")))
    with pytest.raises(DataError, match="Only in one of them: b, c") as refused:
        from_splits("x", one, two)
    assert refused.value.code == "DATA-CLASSES"


def voc_like(count=30):
    """Arrays of three colours as classes of which an image may show several, and some are difficult."""
    stream = np.random.default_rng(0)
    images = [photo(20, 24, seed=seed) // 2 for seed in range(count)]
    truth = np.full((count, 3), -1, np.int8)
    for number in range(count):
        for place in {number % 3, stream.integers(3)}:
            images[number][:, :, place] += 120
            truth[number, place] = 1
    truth[::7, 1] = 0
    part = Partition(np.arange(20), np.arange(20, count))
    return Labelled("voc", ("r", "g", "b"), images, truth, (part,), "average-precision")


def test_images_of_several_classes_have_both_rules():
    found = transfer([small_run()], voc_like(), plan=PLAN)
    (row,) = found.rows
    assert list(row.values) == ["voc2007-11-point", "area"]
    assert row.mean("area") > 0.8
    assert set(row.per_class) == {"r", "g", "b"}


def test_scales_and_their_combination_are_the_papers_in_the_networks_pixels():
    run = small_run(vgg(((1, 2), (1, 2)), input=(3, 28, 28), classes=5, fc=(4,)))
    assert aggregation(run, voc_like(), Plan()) == Aggregation((32, 48, 64, 80, 96), combine="pooled")
    recalls = replace(voc_like(), measure="mean-class-recall")
    assert aggregation(run, recalls, Plan()) == Aggregation((32, 48, 64), combine="stacked")
    asked = Plan(scales=(30,), combine="pooled", flip=False)
    assert aggregation(run, recalls, asked) == Aggregation((30,), combine="pooled", flip=False)


def test_a_class_that_cannot_be_learnt_is_named_before_features_are_computed(monkeypatch):
    monkeypatch.setattr(descriptors, "dense_taps", never)
    data = voc_like()
    data.truth[:, 1] = -1
    with pytest.raises(DataError, match="class 'g' has no training image"):
        transfer([small_run()], data, plan=PLAN)


def test_nothing_is_computed_for_what_cannot_be(folder, monkeypatch):
    monkeypatch.setattr(descriptors, "dense_taps", never)
    runs = [small_run(path="one"), small_run(vgg(((1, 4),), input=(3, 24, 24), classes=5, fc=(6,)), path="two")]
    with pytest.raises(ConfigError, match="scale 16 is below the 24 pixels"):
        transfer(runs, str(folder), plan=PLAN)
    with pytest.raises(ConfigError, match="no layer 'relu4'"):
        transfer(runs, str(folder), plan=replace(PLAN, scales=(32,), layer="relu4"))
    with pytest.raises(ConfigError, match="no run is given"):
        transfer([], str(folder))
    with pytest.raises(DataError, match="ImageSets/Main is missing"):
        transfer(runs[:1], "voc2007", wishes=sets.Wishes(data_root=folder))
    monkeypatch.setattr(room, "memory_bytes", lambda: 10**8)
    with pytest.raises(ResourceError, match="scale 3000 needs about"):
        transfer(runs[:1], str(folder), plan=replace(PLAN, scales=(16, 3000)))


def test_an_unreadable_photograph_is_named_before_anything_is_computed(tmp_path, monkeypatch):
    for name in "ab":
        photographs(tmp_path / "train" / name, [(20, 20)] * 3)
        photographs(tmp_path / "test" / name, [(20, 20)])
    (tmp_path / "test" / "b" / "0.png").write_bytes(b"no image")
    monkeypatch.setattr(descriptors, "dense_taps", never)
    with pytest.raises(DataError, match=r"1 of 8 images cannot be read: .*b/0\.png") as refused:
        transfer([small_run()], str(tmp_path), plan=PLAN)
    assert refused.value.code == "DATA-BAD-IMAGES"


def test_grey_and_colour_networks_are_not_mixed(folder):
    grey = replace(
        small_run(), preprocessing=replace(small_run().preprocessing, channels=1, color="grey", mean=(1.0,), std=(1.0,))
    )
    with pytest.raises(ConfigError, match="some take colour") as refused:
        transfer([small_run(), grey], str(folder))
    assert refused.value.code == "DATA-CHANNELS"


def test_an_untrained_network_has_the_weights_that_training_began_with():
    run = replace(small_run(), settings=Config(init="glorot", seed=7))
    np.testing.assert_array_equal(
        baselines.untrained(run).weights["fc3.weight"], initial(run.network, rule="glorot", seed=7)["fc3.weight"]
    )


def test_pixels_are_squeezed_centred_and_of_length_1():
    image = photo(64, 96, seed=1)
    (row,) = baselines.pixels([image], channels=3, side=8)
    small = np.array(Image.fromarray(image).resize((8, 8), Image.Resampling.BILINEAR), np.float64).reshape(-1)
    small -= small.mean()
    np.testing.assert_allclose(row, small / np.linalg.norm(small), atol=1e-6)


def noise(count=60):
    """Photographs that show nothing of their class, so that every network is right another number of times."""
    labels = np.arange(count) % 3
    part = Partition(np.arange(30), np.arange(30, count))
    images = [photo(16, 16, seed=seed) for seed in range(count)]
    return Labelled("noise", ("a", "b", "c"), images, one_each(labels, classes=3), (part,), "mean-class-recall")


def test_table_11_puts_trainings_together_one_by_one():
    labelled, measure = noise(), "mean-class-recall"
    runs = {"D": [small_run(seed=1), small_run(seed=2)], "E": [small_run(seed=3), small_run(seed=4)]}
    plan = replace(PLAN, baselines=("random", "pixels"))
    found = {row.name: row for row in table_11.rows(runs, labelled, plan=plan)}
    assert list(found) == ["D", "E", "D & E", "D, untrained", "E, untrained", "pixels"]
    assert [len(row.values[measure]) for row in found.values()] == [2, 2, 2, 2, 2, 1]
    assert found["D & E"].features == 96
    pairs = [transfer([one, two], labelled, plan=PLAN).rows for one, two in zip(*runs.values(), strict=True)]
    for place, name in enumerate(("D", "E", "D & E")):
        assert found[name].values[measure] == tuple(rows[place].mean(measure) for rows in pairs)
        assert len(set(found[name].values[measure])) == 2
    assert table.percent(found["D"], measure).count(" ± ") == 1


def test_table_11_takes_as_many_trainings_of_each_network():
    with pytest.raises(ConfigError, match="D: 2, E: 1"):
        table_11.rows({"D": [small_run(), small_run()], "E": [small_run()]}, noise())
    with pytest.raises(ConfigError, match="there are none"):
        table_11.rows({}, noise())


def test_the_published_figures_are_those_of_the_paper():
    assert [row.voc2007 for row in table_11.PUBLISHED] == [89.3, 89.3, 89.7]
    assert [row.caltech101 for row in table_11.PUBLISHED] == [(91.8, 1.0), (92.3, 0.5), (92.7, 0.5)]
