"""What predict accepts, refuses and writes."""

import csv
import io
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from verydeep.data.decode import decode
from verydeep.data.preprocess import apply
from verydeep.errors import ConfigError, DataError, NumericalError
from verydeep.evaluation.predict import Prediction, predict, to_csv, to_json, to_text
from verydeep.families.vgg import vgg
from verydeep.preprocessing import Preprocessing
from verydeep.run import Run
from verydeep.settings.config import Config
from verydeep.weights.initial import initial

CLASSES = ("ankle boot", 'bag, "big"', "T-shirt/top", "coat", "dress", "shirt")


@pytest.fixture(scope="module")
def run():
    network = vgg(((1, 8), (1, 16)), input=(3, 16, 16), classes=len(CLASSES), fc=(32,), batch_norm=True)
    preprocessing = Preprocessing(3, (16, 16), 20, "center", (120.0, 110.0, 100.0), (60.0, 60.0, 60.0), "RGB")
    weights = {name: 3 * array for name, array in initial(network, seed=1).items()}
    return Run(Path("run"), Config(), network, weights, preprocessing, CLASSES, (), {})


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """photos/ with 7 images in two levels, a text, a hidden image; the current folder is above it."""
    stream = np.random.default_rng(0)
    for name in ("b.png", "a.JPG", "c.bmp", "deep/d.png", "deep/e.png", "deep/er/f.webp", "deep/er/g.png"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        height, width = stream.integers(10, 60, 2)
        Image.fromarray(stream.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(path)
    (tmp_path / "photos" / "notes.txt").write_text("no image")
    (tmp_path / "photos" / ".hidden.png").write_bytes((tmp_path / "photos" / "b.png").read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path / "photos"


def paths(predictions):
    return [prediction.path for prediction in predictions]


def test_a_folder_is_all_images_below_it_and_nothing_else(run, photos):
    found = ["a.JPG", "b.png", "c.bmp", "deep/d.png", "deep/e.png", "deep/er/f.webp", "deep/er/g.png"]
    assert paths(predict(run, ["photos"])) == [f"photos/{name}" for name in found]
    assert paths(predict(run, [photos])) == [f"{photos}/{name}" for name in found]


def test_a_pattern_is_the_image_files_and_folders_that_match(run, photos):
    assert paths(predict(run, ["photos/*"])) == paths(predict(run, ["photos"]))
    assert paths(predict(run, ["photos/**/*"])) == paths(predict(run, ["photos"]))
    assert paths(predict(run, ["photos/*.*"])) == ["photos/a.JPG", "photos/b.png", "photos/c.bmp"]
    assert len(predict(run, ["photos/**/*.png"])) == 4


def test_a_file_with_the_name_of_a_pattern_is_that_file(run, photos):
    (photos / "[b].png").write_bytes((photos / "b.png").read_bytes())
    assert paths(predict(run, ["photos/[b].png"])) == ["photos/[b].png"]


def test_files_keep_the_order_of_the_sources_and_come_once(run, photos):
    assert paths(predict(run, ["photos/c.bmp", "photos/*.*", "photos/c.bmp"], batch=1)) == [
        "photos/c.bmp",
        "photos/a.JPG",
        "photos/b.png",
    ]


def test_a_named_file_may_have_any_name(run, photos):
    (photos / "image").write_bytes((photos / "b.png").read_bytes())
    named, plain = predict(run, ["photos/image", "photos/b.png"])
    assert named.error is None
    assert named.classes == plain.classes


def test_the_answer_is_the_softmax_of_the_model_on_the_preprocessed_image(run, photos):
    (prediction,) = predict(run, ["photos/b.png"], top=6)
    with torch.inference_mode():
        x = apply(decode(photos / "b.png", channels=3), run.preprocessing)
        expected = run.model()(x[None]).double().softmax(1)[0]
    order = expected.argsort(descending=True)
    assert prediction.classes == tuple(CLASSES[i] for i in order)
    assert prediction.confidences == pytest.approx(expected[order].tolist(), abs=1e-6)
    assert sum(prediction.confidences) == pytest.approx(1)


def test_the_batch_does_not_change_an_answer(run, photos):
    alone = predict(run, ["photos"], batch=1)
    for batch in (2, 3, 32):
        for one, other in zip(alone, predict(run, ["photos"], batch=batch), strict=True):
            assert one.classes == other.classes
            assert one.confidences == pytest.approx(other.confidences, abs=1e-5)


def test_top_is_at_most_the_number_of_classes(run, photos):
    assert [len(predict(run, ["photos/b.png"], top=top)[0].classes) for top in (1, 5, 6, 100)] == [1, 5, 6, 6]


def test_one_bad_file_spoils_no_other_and_is_marked(run, photos):
    (photos / "b.png").write_bytes((photos / "c.bmp").read_bytes()[:40])
    found = predict(run, ["photos"], batch=2)
    assert [prediction.path for prediction in found if prediction.error] == ["photos/b.png"]
    assert "photos/b.png" in found[1].error
    assert found[1].classes == found[1].confidences == ()
    assert all(len(prediction.classes) == 5 for prediction in found if not prediction.error)


def test_files_that_are_no_files_are_marked_and_never_opened(run, photos):
    os.mkfifo(photos / "pipe.png")
    found = predict(run, ["photos/pipe.png", "/dev/zero", "photos/b.png"])
    assert ["not a regular file" in (prediction.error or "") for prediction in found] == [True, True, False]


@pytest.mark.parametrize("source", ["http://example.org/cat.jpg", "https://x/y.png", "file:///etc/passwd", "s3://b/c"])
def test_a_url_is_refused_in_one_line(run, source):
    with pytest.raises(ConfigError, match="is a URL") as raised:
        predict(run, [source])
    assert raised.value.code == "SOURCE-URL"
    assert "\n" not in raised.value.line()


def test_standard_input_is_refused(run):
    with pytest.raises(ConfigError, match="standard input"):
        predict(run, ["-"])


@pytest.mark.parametrize("source", ["nothing.png", "photos/*.gif", "", "a\0b", "x" * 10_000, "photos/empty"])
def test_a_source_without_images_is_named_before_anything_is_computed(run, photos, source):
    (photos / "empty").mkdir()
    with pytest.raises(DataError) as raised:
        predict(run, ["photos/b.png", source])
    assert raised.value.code == "SOURCE-NONE"
    assert (source[:20].replace("\0", "\\x00") or "an empty name") in raised.value.message
    assert len(raised.value.line()) < 600


def test_no_source_at_all_is_an_error(run):
    with pytest.raises(DataError, match="no images are given"):
        predict(run, [])


@pytest.mark.parametrize("option", ["batch", "top"])
def test_batch_and_top_must_be_positive(run, photos, option):
    with pytest.raises(ConfigError, match=f"{option} must be 1 or more"):
        predict(run, ["photos"], **{option: 0})


def test_broken_weights_are_an_error_that_names_the_image(run, photos):
    weights = {name: np.full_like(array, np.nan) for name, array in run.weights.items()}
    with pytest.raises(NumericalError, match=r"photos/b\.png"):
        predict(replace(run, weights=weights), ["photos/b.png"])


STRANGE = [
    Prediction('a,"b"\n.png', ("x, y", "z"), (0.75, 0.125)),
    Prediction("\udcff.png", (), (), error="cannot read the image: the file is empty"),
]


def test_csv_has_a_line_for_each_class_and_survives_any_name():
    rows = list(csv.DictReader(io.StringIO(to_csv(STRANGE))))
    assert rows == [
        {"path": 'a,"b"\n.png', "rank": "1", "class": "x, y", "confidence": "0.75", "error": ""},
        {"path": 'a,"b"\n.png', "rank": "2", "class": "z", "confidence": "0.125", "error": ""},
        {"path": "\\udcff.png", "rank": "", "class": "", "confidence": "", "error": STRANGE[1].error},
    ]
    to_csv(STRANGE).encode()


def test_json_has_fractions_and_null():
    good, bad = json.loads(json.dumps(to_json(STRANGE)))["predictions"]
    assert good == {
        "path": 'a,"b"\n.png',
        "error": None,
        "classes": [{"class": "x, y", "confidence": 0.75}, {"class": "z", "confidence": 0.125}],
    }
    assert bad["error"] == STRANGE[1].error
    assert bad["classes"] == []


def test_text_is_a_table_with_one_line_for_each_file_and_the_errors_below():
    assert to_text(STRANGE).splitlines() == [
        "image          class",
        "-------------  ----------  -------",
        "'a,\"b\"\\n.png'  x, y 75.0%  z 12.5%",
        "'\\udcff.png'   unreadable",
        "",
        "error: cannot read the image: the file is empty",
    ]
    to_text(STRANGE).encode()
