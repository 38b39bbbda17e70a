"""The report of a run: complete, offline, harmless, accessible."""

import os
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from verydeep.data.split import MemorySplit
from verydeep.errors import ResourceError
from verydeep.evaluation.metrics import measure
from verydeep.record.gallery import worst
from verydeep.record.page import render, write_report
from verydeep.report.table import summary

EVIL = ("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{ 7 * 7 }}", "a & b", "猫", "'); --")


class Reader(HTMLParser):
    """Every tag with its attributes, the text, and whether the tags that open also close."""

    void = ("meta", "img", "br", "link", "input", "hr")

    def __init__(self, page):
        super().__init__()
        self.tags, self.text, self.open = [], [], []
        self.feed(page)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in self.void:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]

    def words(self):
        return " ".join("".join(self.text).split())


@pytest.fixture
def page(run, evaluation, digits, logits):
    return render(run, evaluation=evaluation, mistakes=worst(digits, logits), split_name="test")


def test_the_report_is_written_with_its_figures(run, evaluation, digits, logits):
    path = write_report(run, evaluation=evaluation, mistakes=worst(digits, logits), split_name="test")
    assert path == run.path / "report.html"
    assert sorted(file.name for file in run.path.iterdir() if file.suffix in (".html", ".svg")) == [
        "confusion.svg",
        "curves.svg",
        "report.html",
    ]
    for name in ("confusion.svg", "curves.svg"):
        ElementTree.fromstring((run.path / name).read_text())


def test_writing_again_gives_the_same_bytes(run, evaluation, digits, logits):
    first, second = (
        write_report(run, evaluation=evaluation, mistakes=worst(digits, logits), split_name="test").read_bytes()
        for _ in range(2)
    )
    assert first == second


@pytest.mark.skipif(os.geteuid() != 0 and not os.access("/proc", os.R_OK), reason="needs /proc")
def test_a_folder_that_cannot_be_written_is_a_resource_error(run, evaluation):
    with pytest.raises(ResourceError):
        write_report(replace(run, path=Path("/proc")), evaluation=evaluation, mistakes=[], split_name="test")


def test_the_headline_numbers_are_there(page, run, evaluation):
    words = Reader(page).words()
    costs = summary(run.network)
    for text in (
        "vgg on digits",
        f"{evaluation.top1 * 100:.2f} %",
        f"{costs.params:,}",
        f"{costs.flops:,} FLOPs",
        "3 min 21 s",
        "2 epochs",
        "Seed0",
        "Of 397 test images that training did not see, 390 are classified correctly and 7 are not.",
    ):
        assert text in words


def test_everything_that_the_report_promises_is_in_it(page, run):
    words = Reader(page).words()
    for heading in (
        "Training",
        "What is taken for what",
        "Commonest confusions",
        "The surest mistakes",
        "Class by class",
        "Network",
        "Reproduce",
        "Settings and machine",
    ):
        assert heading in words
    for text in ("conv1_1", "Conv 3x3, 8, pad 1", "weight_decay", "0.0005", "verydeep evaluate run-001"):
        assert text in words
    assert "verydeep train --config run-001/config.yaml --out run-001-again" in words
    assert "verydeep predict run-001 image.png" in words


def test_the_page_loads_nothing_and_runs_nothing(page):
    found = Reader(page)
    assert not {"script", "link", "iframe", "object", "form", "base"} & {tag for tag, _ in found.tags}
    for _, attributes in found.tags:
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href"):
            assert attributes.get(name, "#").startswith(("data:image/", "#"))
    style = "".join(re.findall(r"<style>(.*?)</style>", page, re.DOTALL))
    assert "url(" not in style
    assert "@import" not in style
    (policy,) = [meta["content"] for meta in found.all("meta") if "http-equiv" in meta]
    assert policy.startswith("default-src 'none'; ")


def test_class_names_and_file_names_are_text_and_nothing_else(run):
    images = np.zeros((6, 1, 8, 8), np.uint8)
    split = MemorySplit("x", EVIL, np.arange(6), images)
    logits = np.roll(np.eye(6), 1, axis=1) * 5
    evil = replace(
        run,
        path=run.path.parent / "<b>run",
        classes=EVIL,
        settings=run.config.updated(data="/data/<i>data", recipe="<u>"),
    )
    mistakes = [replace(one, name=EVIL[1]) for one in worst(split, logits)]
    page = render(evil, evaluation=measure(logits, split.labels, classes=EVIL), mistakes=mistakes, split_name="<s>")
    found = Reader(page)
    tags = {tag for tag, _ in found.tags}
    assert not {"script", "b", "i", "u", "s"} & tags
    assert not [attributes for attributes in found.all("img") if "onerror" in attributes]
    for name in EVIL:
        assert name in found.words()
    assert "49" not in re.findall(r">(\d+)<", page)


def test_places_on_the_machine_are_not_shown(run, evaluation):
    config = run.config.updated(
        data="/home/someone/photos", data_root="/home/someone/data", grow_from="/home/someone/a"
    )
    page = render(replace(run, settings=config), evaluation=evaluation, mistakes=[], split_name="test")
    assert "someone" not in page
    assert str(run.path.parent) not in page
    assert "vgg on photos" in Reader(page).words()


def test_every_picture_has_words_and_every_table_headings(page, digits, logits):
    found = Reader(page)
    assert all(image["alt"] for image in found.all("img"))
    assert len(found.all("img")) == 3 + len(worst(digits, logits))
    assert all(cell.get("scope") in ("col", "row") for cell in found.all("th"))
    assert found.all("html") == [{"lang": "en"}]
    assert len(found.all("h1")) == 1
    names = {attributes["id"] for _, attributes in found.tags if "id" in attributes}
    assert {link["href"] for link in found.all("a")} <= {f"#{name}" for name in names}


def test_small_images_are_enlarged_in_squares(page):
    assert 'class="squares" src="data:image/png' in page


def test_a_network_without_mistakes_is_said_so(run, digits):
    perfect = measure(np.eye(10)[digits.labels], digits.labels, classes=digits.classes)
    words = Reader(render(run, evaluation=perfect, mistakes=[], split_name="validation")).words()
    assert "Of 397 validation images that training did not see, all are classified correctly." in words
    assert "The surest mistakes There are none." in words


def test_two_classes_have_no_top5(run):
    evaluation = measure(np.eye(2), np.array([0, 0]), classes=("cat", "dog"))
    words = Reader(render(run, evaluation=evaluation, mistakes=[], split_name="test")).words()
    assert "top-5" not in words
    assert "1 is not." in words


@pytest.mark.parametrize("count", [0, 1])
def test_a_run_of_no_or_one_epoch_has_a_page(run, evaluation, history, count):
    short = replace(run, history=history(count, validated=False), result={"seconds": 0.0})
    assert f"{count} epoch" in Reader(render(short, evaluation=evaluation, mistakes=[], split_name="test")).words()


def test_without_a_note_of_the_machine_there_still_is_a_page(run, evaluation):
    (run.path / "environment.json").unlink()
    assert "Processor" in render(run, evaluation=evaluation, mistakes=[], split_name="test")


def test_a_thousand_classes_are_folded_and_stay_small(run):
    stream = np.random.default_rng(0)
    logits, labels = stream.normal(size=(2000, 1000)), stream.integers(0, 1000, 2000)
    many = measure(logits, labels, classes=tuple(f"n{i:08}" for i in range(1000)))
    page = render(run, evaluation=many, mistakes=[], split_name="test")
    assert "All 1,000 classes" in page
    assert len(page) < 3_000_000
