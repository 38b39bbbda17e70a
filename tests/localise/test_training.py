"""A localiser is trained in seconds, learns more than any constant box, and is opened again."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from verydeep.data import digits
from verydeep.data.augment import DRAWS, Augment
from verydeep.data.draws import draws
from verydeep.data.split import FileSplit
from verydeep.errors import ConfigError, DataError, ResourceError, WeightsError
from verydeep.families.vgg import vgg
from verydeep.localise import evaluate as evaluation
from verydeep.localise import guesses
from verydeep.localise.annotated import Annotated, part
from verydeep.localise.center import center_boxes
from verydeep.localise.error import ground_truth_error
from verydeep.localise.evaluate import classifier_of, evaluate_localisers, to_text
from verydeep.localise.guesses import Guesser
from verydeep.localise.localiser import RECORD, open_localiser
from verydeep.localise.predict import locate, to_csv, to_json
from verydeep.localise.synthetic import load_synthetic, paste_all
from verydeep.localise.targets import targets
from verydeep.localise.train import held_out, train_localiser
from verydeep.localise.tuning import Tuning
from verydeep.preprocessing import Preprocessing
from verydeep.run import Run
from verydeep.run_files import MODEL
from verydeep.settings.config import Config
from verydeep.weights import canonical
from verydeep.weights.initial import initial

SIDE, CROP = 28, 24
CLASSES = digits.CLASSES
PREPROCESSING = Preprocessing(3, (CROP, CROP), SIDE, "center", (80.0, 80.0, 80.0), (60.0, 60.0, 60.0), "RGB")
QUICK = Tuning(boxes="single-class", tune="all", epochs=8, batch=16, lr=0.05, clip=1.0, val=0.2)


@pytest.fixture(scope="module")
def data():
    """240 small images on grey backgrounds."""
    grey = [np.full((60, 60, 3), level, np.uint8) for level in (40, 90)]
    objects = digits.load(split="train", root=Path(), download=False)
    return paste_all(objects, grey, count=240, seed=3, side=SIDE)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    """A network with first weights, which stands for a trained one; its model lies on disk."""
    network = vgg(((1, 8), (1, 16)), input=(3, CROP, CROP), classes=10, fc=(32, 32), batch_norm=True, dropout=0.1)
    weights = initial(network, seed=1)
    path = tmp_path_factory.mktemp("classifier") / "run"
    path.mkdir()
    canonical.save(
        path / MODEL, network=network, weights=weights, preprocessing=PREPROCESSING.to_json(), classes=CLASSES
    )
    config = Config(crop="random", scale=(SIDE, SIDE), flip=True, device="cpu", workers=0)
    return Run(path, config, network, weights, PREPROCESSING, CLASSES, (), {})


@pytest.fixture(scope="module")
def trained(classifier, data, tmp_path_factory):
    lines = []
    out = tmp_path_factory.mktemp("localiser") / "scr"
    found = train_localiser(classifier, data, tuning=QUICK, out=out, device="cpu", say=lines.append)
    assert len(lines) == QUICK.epochs
    return found


def test_it_learns_more_than_the_best_constant_box(trained):
    objects = digits.load(split="test", root=Path(), download=False)
    grey = [np.full((60, 60, 3), level, np.uint8) for level in (40, 90)]
    test = paste_all(objects, grey, count=100, seed=4, side=SIDE)
    found = evaluate_localisers([trained], test, device="cpu")
    assert found.ground_truth_error < found.constant_error - 0.15
    losses = [row["loss"] for row in trained.record["history"]]
    assert losses[-1] < losses[0] / 3


def test_a_network_of_grey_images_reads_colour_as_grey(data, tmp_path):
    network = vgg(((1, 4),), input=(1, CROP, CROP), classes=10, fc=(4, 4))
    grey = replace(PREPROCESSING, channels=1, mean=(80.0,), std=(60.0,), color="grey")
    config = Config(crop="random", scale=(SIDE, SIDE), flip=True, device="cpu", workers=0)
    one = Run(tmp_path / "grey", config, network, initial(network, seed=1), grey, CLASSES, (), {})
    found = train_localiser(one, data, tuning=replace(QUICK, epochs=1), out=tmp_path / "boxes", device="cpu")
    assert len(center_boxes(found, data, device="cpu")) == len(data)
    two = evaluate_localisers([found], part(data, np.arange(3)), protocol=2, classifier=one, device="cpu")
    assert two.images == 3


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(classifier, data, tmp_path):
    short = replace(QUICK, epochs=1)
    first, again, other = (
        train_localiser(classifier, data, tuning=replace(short, seed=seed), out=tmp_path / name, device="cpu")
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    assert (first.path / MODEL).read_bytes() == (again.path / MODEL).read_bytes()
    assert any(not np.array_equal(first.weights[name], other.weights[name]) for name in first.weights)


def test_fc_leaves_the_convolutions_and_their_statistics_as_the_classifier_has_them(classifier, data, tmp_path):
    tuning = replace(QUICK, epochs=1, tune="fc", boxes="per-class")
    found = train_localiser(classifier, data, tuning=tuning, out=tmp_path / "fc", device="cpu")
    changed = {name for name in found.weights if not np.array_equal(found.weights[name], classifier.weights.get(name))}
    assert changed == {f"{layer}.{array}" for layer in ("fc3", "fc4", "fc5") for array in ("weight", "bias")}
    assert found.network.classes == 40


def test_all_changes_every_layer(trained, classifier):
    for name, array in trained.weights.items():
        if not name.startswith("fc5"):
            assert not np.array_equal(array, classifier.weights[name]), name


def test_the_images_held_out_are_not_learnt_from_and_keep_their_boxes(data):
    kept, held = held_out(data, fraction=0.25, seed=1)
    assert held is not None
    assert (len(kept), len(held)) == (180, 60)
    sources: list[int] = []
    for one in (kept, held):
        for image, boxes in zip(one.split.images, one.boxes, strict=True):
            (source,) = np.flatnonzero((data.split.images == image).all(axis=(1, 2, 3)))
            assert boxes is data.boxes[source]
            sources.append(source)
    assert sorted(sources) == list(range(len(data)))
    assert held_out(data, fraction=0.0, seed=1)[1] is None


def test_a_file_that_comes_twice_is_not_on_both_sides():
    labels = np.arange(40) % 4
    split = FileSplit("x", ("a", "b", "c", "d"), labels, tuple(f"{number // 2}.png" for number in range(40)))
    twice = Annotated(split, np.full((40, 2), 9), (np.array([[1.0, 1, 5, 5]]),) * 40)
    kept, held = held_out(twice, fraction=0.3, seed=0)
    assert held is not None
    assert len(kept) + len(held) == 40
    assert not set(kept.split.paths) & set(held.split.paths)


def test_options_are_refused_before_images_are_looked_at(trained, data, monkeypatch):
    monkeypatch.setattr(evaluation, "best_constant_box", None)
    with pytest.raises(ConfigError, match="protocol 1 and --scales"):
        evaluate_localisers([trained], data, scales=(24,), device="cpu")
    with pytest.raises(ConfigError, match="scale 2 is below"):
        evaluate_localisers([trained], data, protocol=2, scales=(2,), device="cpu")


def test_an_image_that_cannot_be_read_is_refused_before_anything_is_computed(trained, data, monkeypatch, tmp_path):
    monkeypatch.setattr(evaluation, "best_constant_box", None)
    (tmp_path / "0.png").write_text("no image")
    split = FileSplit("x", CLASSES, data.split.labels[:1], (str(tmp_path / "0.png"),))
    with pytest.raises(DataError) as refused:
        evaluate_localisers([trained], Annotated(split, data.sizes[:1], data.boxes[:1]), device="cpu")
    assert refused.value.code == "DATA-BAD-IMAGES"


def test_a_crop_that_shows_less_than_half_of_the_object_teaches_nothing(data):
    augment = Augment(scale=(56, 56), flip=False)
    found = targets(data, np.arange(100), augment=augment, preprocessing=PREPROCESSING, seed=0, epoch=2)
    for index, row in enumerate(draws(0, epoch=2, indices=np.arange(100), count=DRAWS)):
        top, left = (int(row[place] * (56 - CROP + 1)) for place in (1, 2))
        box = data.boxes[index][0] * 2 - np.array([left, top, left, top])
        inside = np.clip(box, 0, CROP)
        share = np.prod(inside[2:] - inside[:2]) / np.prod(box[2:] - box[:2])
        assert found.seen[index] == (share >= 0.5)
        assert np.allclose(found.boxes[index], np.array([*(box[:2] + box[2:]) / 2, *(box[2:] - box[:2])]) / CROP)
    assert 10 < found.seen.sum() < 90


def test_each_of_several_objects_is_shown_in_its_turn(data):
    several = Annotated(data.split, data.sizes, tuple(np.array([[1.0, 1, 9, 9], [15, 15, 27, 27]]) for _ in data.boxes))
    chosen = [
        targets(
            several,
            np.array([5]),
            augment=Augment(crop="center", flip=False),
            preprocessing=PREPROCESSING,
            seed=0,
            epoch=e,
        ).boxes[0, 2]
        for e in range(40)
    ]
    assert 8 < sum(width < 0.4 for width in chosen) < 32


def test_what_was_saved_is_opened_and_gives_the_same_boxes(trained, data):
    again = open_localiser(trained.path)
    assert (again.boxes, again.classes) == ("single-class", CLASSES)
    assert again.record["tuning"]["lr"] == 0.05
    assert np.array_equal(center_boxes(again, data, device="cpu"), center_boxes(trained, data, device="cpu"))
    assert ground_truth_error(center_boxes(again, data, device="cpu"), data) < 0.6
    assert classifier_of(again).classes == CLASSES


def test_both_protocols_are_measured_and_said(trained, classifier, data):
    data = part(data, np.arange(30))
    one = evaluate_localisers([trained], data, device="cpu")
    two = evaluate_localisers([trained], data, protocol=2, classifier=classifier, scales=(CROP, SIDE + 4), device="cpu")
    assert one.to_json()["top5_error"] is None
    assert two.to_json()["scales"] == [CROP, SIDE + 4]
    assert 0 <= two.ground_truth_error <= two.top5_error <= 1
    assert "protocol 1, centre crop; 30 images" in to_text(one)
    assert "| five guesses (ILSVRC) |" in to_text(two, form="markdown")
    with pytest.raises(ConfigError, match="protocol 1 and --scales"):
        evaluate_localisers([trained], data, scales=(24,), device="cpu")


def test_files_are_located_and_a_bad_one_spoils_no_other(trained, classifier, data, tmp_path):
    for number in (0, 1):
        Image.fromarray(data.split.images[number].transpose(1, 2, 0)).save(tmp_path / f"{number}.png")
    (tmp_path / "0b.png").write_text("no image")
    found = locate([trained], classifier, [str(tmp_path)], top=2)
    assert [len(one.guesses) for one in found] == [2, 0, 2]
    record = to_json(found, classes=CLASSES)["predictions"]
    assert record[1]["error"] and set(record[0]["objects"][0]) == {"class", "confidence", "box"}
    assert all(0 <= x <= SIDE for x in record[0]["objects"][0]["box"])
    assert len(to_csv(found, classes=CLASSES).splitlines()) == 1 + 2 + 1 + 2
    with pytest.raises(DataError, match="no images are given"):
        locate([trained], classifier, [])


def test_an_image_without_room_is_refused_before_another_is_computed(trained, classifier, data, tmp_path, monkeypatch):
    for number, side in enumerate((SIDE, 30 * SIDE)):
        image = Image.fromarray(data.split.images[0].transpose(1, 2, 0))
        image.resize((side, SIDE)).save(tmp_path / f"{number}.png")
    monkeypatch.setattr(Guesser, "guess", None)
    monkeypatch.setattr(guesses, "MOST_BOXES", 20)
    with pytest.raises(ResourceError) as refused:
        locate([trained], classifier, [str(tmp_path)], scales=(SIDE,))
    assert refused.value.code == "LOCALISE-BOXES"


def test_what_would_count_twice_is_refused(trained, classifier):
    for localisers, scales, code in (([trained, trained], (), "FUSE-TWICE"), ([trained], (40, 40), "EVAL-SCALE")):
        with pytest.raises(ConfigError, match="there twice") as refused:
            Guesser(localisers, classifier, scales=scales)
        assert refused.value.code == code


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"schema": 2}, "schema 2"),
        ({"boxes": "both"}, "boxes are 'both'"),
        ({"boxes": []}, r"boxes are \[\]"),
        ({"boxes": "per-class"}, "and 4 outputs"),
        ({"classes": ["a", "a"]}, "different names"),
        ({"classifier": 3}, "the classifier is 3"),
        ({"more": 1}, "missing or unknown"),
    ],
)
def test_a_damaged_record_is_refused(trained, tmp_path, change, why):
    folder = tmp_path / "copy"
    folder.mkdir()
    (folder / MODEL).write_bytes((trained.path / MODEL).read_bytes())
    with pytest.raises(WeightsError, match=r"has no localiser\.json"):
        open_localiser(folder)
    (folder / RECORD).write_text(json.dumps({**json.loads((trained.path / RECORD).read_text()), **change}))
    with pytest.raises(WeightsError, match=why) as caught:
        open_localiser(folder)
    assert caught.value.code == "LOCALISER-DAMAGED"


def test_a_record_that_is_no_json_is_refused(trained, tmp_path):
    (tmp_path / MODEL).write_bytes((trained.path / MODEL).read_bytes())
    for text in ("", "[1]", "{", "[" * 100_000):
        (tmp_path / RECORD).write_text(text)
        with pytest.raises(WeightsError, match="cannot be used"):
            open_localiser(tmp_path)


def test_a_localiser_whose_classifier_has_gone_asks_for_one(trained):
    with pytest.raises(ConfigError, match="--classifier RUN"):
        classifier_of(replace(trained, classifier=Path("nowhere")))
    with pytest.raises(ConfigError, match="nothing says which"):
        classifier_of(replace(trained, classifier=None))


def test_what_cannot_be_is_refused_before_training(classifier, data, tmp_path):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.tex").write_text("years")
    for tuning, out, why in (
        (QUICK, tmp_path / "taken", "is not empty"),
        (replace(QUICK, scale=(20, 30)), tmp_path / "a", "scale 20 to 30 does not hold a crop of 24"),
    ):
        with pytest.raises(ConfigError, match=why):
            train_localiser(classifier, data, tuning=tuning, out=out, device="cpu")
    unknown = replace(data, split=replace(data.split, classes=("ten", *CLASSES[1:])))
    with pytest.raises(DataError, match="ten"):
        train_localiser(classifier, unknown, tuning=QUICK, out=tmp_path / "a", device="cpu")
    assert not (tmp_path / "a").exists()
    for wrong in ({"boxes": "one"}, {"tune": "conv"}, {"epochs": 0}, {"lr": -1.0}, {"val": 1.0}):
        with pytest.raises(ConfigError):
            replace(QUICK, **wrong)


def test_the_embedded_set_is_in_the_catalog_for_the_classifier():
    from verydeep.data.catalog import load

    data = load_synthetic(split="test", count=4)
    assert np.array_equal(load("synthetic", split="test").images[:4], data.split.images)
