"""The model card, as the hub reads it."""

import ast
import re
from dataclasses import replace

import numpy as np
import yaml

from verydeep.evaluation.metrics import measure
from verydeep.record.card import card, write_card


def parts(text):
    """The front matter and the body."""
    _, front, body = text.split("---\n", 2)
    return yaml.safe_load(front), body


def test_the_card_is_written_into_the_run(run, evaluation):
    path = write_card(run, evaluation=evaluation, split_name="test")
    assert path == run.path / "MODEL_CARD.md"
    assert path.read_text() == card(run, evaluation=evaluation, split_name="test")


def test_the_front_matter_is_what_the_hub_reads(run, evaluation):
    front, _ = parts(card(run, evaluation=evaluation, split_name="test"))
    assert front["library_name"] == "verydeep"
    assert front["datasets"] == ["digits"]
    assert front["metrics"] == ["accuracy"]
    assert "image-classification" in front["tags"]
    (result,) = front["model-index"][0]["results"]
    assert result["dataset"]["split"] == "test"
    assert result["metrics"][0]["value"] == evaluation.top1


def test_the_card_says_what_how_good_and_where_the_limits_are(run, evaluation):
    _, body = parts(card(run, evaluation=evaluation, split_name="test"))
    for text in (
        "# vgg on digits",
        "1x8x8",
        "Trained on 1,293 images of digits.",
        "The mean (77.9) is subtracted, and the result divided by the deviation (95.9).",
        f"| top-1 accuracy | {evaluation.top1 * 100:.2f} % (95 % interval ",
        "On 397 test images that training did not see:",
        "there is no answer",
        'It finds "2" least well: 95.0 % of 40 images.',
        '"2" is taken for "3" in 1 image of it, 2.5 %.',
        "verydeep predict run-001 image.png",
        "Python: 3.",
    ):
        assert text in body


def test_the_python_of_the_card_is_python(run, evaluation):
    strange = replace(run, path=run.path.parent / 'my "run"')
    code = re.search(r"```python\n(.*?)```", card(strange, evaluation=evaluation, split_name="test"), re.DOTALL)
    ast.parse(code[1])
    assert len([line for line in code[1].splitlines() if line]) <= 5


def test_places_on_the_machine_are_not_in_the_card(run, evaluation):
    config = run.config.updated(data="/home/someone/photos", data_root="/home/someone/data")
    text = card(replace(run, settings=config), evaluation=evaluation, split_name="test")
    assert "someone" not in text
    assert str(run.path.parent) not in text


def test_names_cannot_become_markup(run):
    names = ("<script>", "a|b", "c: [d\n---\n")
    evaluation = measure(np.roll(np.eye(3), 1, axis=1), np.arange(3), classes=names)
    evil = replace(run, classes=names, settings=run.config.updated(data="x: [y\n---"))
    front, body = parts(card(evil, evaluation=evaluation, split_name="test"))
    assert front["datasets"] == ["x: [y\n---"]
    assert "<script>" not in body
    assert "\n---" not in body


def test_classes_without_images_are_named_as_untried(run):
    evaluation = measure(np.eye(3)[:2], np.arange(2), classes=("a", "b", "unicorn"))
    assert "Without test images, and so untried: unicorn." in card(run, evaluation=evaluation, split_name="test")
