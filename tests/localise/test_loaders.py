"""What is read of annotation files and folders, and what is refused before anything is computed."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from verydeep.data.decode import upright_size
from verydeep.errors import ConfigError, DataError
from verydeep.localise.annotated import Annotated, part, suited
from verydeep.localise.annotation import MOST_BYTES, read_annotation
from verydeep.localise.ilsvrc import load_ilsvrc
from verydeep.localise.load import load_annotated
from verydeep.localise.synthetic import load_synthetic
from verydeep.localise.voc import load_voc


def annotation(objects, *, size=(40, 30), head=""):
    """The text of an annotation; objects are (name, xmin, ymin, xmax, ymax), and size is width, height."""
    marked = "".join(
        f"<object><name>{name}</name><difficult>{int(name.endswith('!'))}</difficult><bndbox>"
        f"<xmin>{box[0]}</xmin><ymin>{box[1]}</ymin><xmax>{box[2]}</xmax><ymax>{box[3]}</ymax></bndbox></object>".replace(
            "!", ""
        )
        for name, *box in objects
    )
    lengths = f"<size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>"
    return f"{head}<annotation><filename>x.jpg</filename>{lengths}{marked}</annotation>"


@pytest.fixture
def voc(tmp_path):
    """A function that writes VOC 2007 with the given annotations and gives its root."""

    def write(objects, *, part="test", size=(40, 30)):
        home = tmp_path / "VOCdevkit" / "VOC2007"
        for folder in ("Annotations", "JPEGImages", "ImageSets/Main"):
            (home / folder).mkdir(parents=True, exist_ok=True)
        for name, marked in objects.items():
            Image.new("RGB", size).save(home / "JPEGImages" / f"{name}.jpg")
            if marked is not None:
                text = marked if isinstance(marked, str) else annotation(marked)
                (home / "Annotations" / f"{name}.xml").write_text(text)
        (home / "ImageSets" / "Main" / f"{part}.txt").write_text("\n".join(objects) + "\n")
        return tmp_path

    return write


@pytest.fixture
def imagenet(tmp_path):
    """A function that writes a small ImageNet with boxes and gives its root."""

    def write(objects, *, split="val", boxes="ILSVRC2012_bbox_val"):
        for folder in ("train", "val"):
            for wnid in ("n00000001", "n00000002"):
                (tmp_path / folder / wnid).mkdir(parents=True, exist_ok=True)
        for name, (wnid, marked) in objects.items():
            Image.new("RGB", (40, 30)).save(tmp_path / split / wnid / f"{name}.JPEG")
            if marked is not None:
                place = tmp_path / boxes / ("val" if split == "val" else wnid)
                place.mkdir(parents=True, exist_ok=True)
                (place / f"{name}.xml").write_text(annotation(marked))
        return tmp_path

    return write


def refused(load, **options):
    with pytest.raises(DataError) as caught:
        load(**options)
    assert "\n" not in caught.value.line()
    return caught.value


def test_voc_counts_pixels_from_one_and_its_last_pixel_is_inside(voc):
    root = voc({"000001": [("dog", 1, 1, 40, 30), ("cat", 3, 5, 3, 5)]})
    data = load_voc("2007", split="test", root=root)
    assert [data.split.classes[label] for label in data.split.labels] == ["cat", "dog"]
    assert data.boxes[0].tolist() == [[2, 4, 3, 5]]
    assert data.boxes[1].tolist() == [[0, 0, 40, 30]]
    assert data.sizes.tolist() == [[30, 40], [30, 40]]


def test_an_image_of_voc_comes_once_for_each_class_with_all_its_objects(voc):
    root = voc(
        {
            "000001": [("dog", 1, 1, 5, 5), ("cat", 2, 2, 9, 9), ("dog", 11, 11, 20, 20)],
            "2008_000002": [("bus", 1, 1, 9, 9)],
        }
    )
    data = load_voc("2007", split="test", root=root)
    assert [len(boxes) for boxes in data.boxes] == [1, 2, 1]
    assert [Path(path).stem for path in data.split.paths] == ["000001", "000001", "2008_000002"]


def test_difficult_objects_do_not_count(voc):
    data = load_voc("2007", split="test", root=voc({"000001": [("dog!", 1, 1, 5, 5), ("dog", 3, 3, 9, 9)]}))
    assert data.boxes[0].tolist() == [[2, 2, 9, 9]]


def test_train_of_2007_is_trainval(voc):
    assert len(load_voc("2007", split="train", root=voc({"000005": [("dog", 1, 1, 5, 5)]}, part="trainval"))) == 1


@pytest.mark.parametrize(
    ("box", "why"),
    [
        ((5, 5, 41, 9), "reaches outside the image of 40x30"),
        ((0, 5, 9, 9), "reaches outside the image of 40x30"),
        ((5, 5, 9, 31), "reaches outside the image of 40x30"),
        ((9, 5, 5, 9), "is inverted or empty"),
    ],
)
def test_a_box_that_cannot_be_is_refused_with_its_file_or_skipped_if_asked(voc, box, why):
    root = voc({"000001": [("dog", 1, 1, 5, 5), ("dog", *box)], "000002": [("cat", *box)]})
    error = refused(load_voc, year="2007", split="test", root=root)
    assert error.code == "BOXES-INVALID"
    assert "000001.xml" in error.message
    assert why in error.message
    data = load_voc("2007", split="test", root=root, bad_boxes="skip")
    assert (len(data), data.left_out) == (1, 2)
    assert data.boxes[0].tolist() == [[0, 0, 5, 5]]


def test_a_class_that_the_set_does_not_have_is_refused_with_the_nearest(voc):
    error = refused(load_voc, year="2007", split="test", root=voc({"000001": [("dogg", 1, 1, 5, 5)]}))
    assert error.code == "BOXES-CLASS"
    assert "'dogg'" in error.message
    assert error.hint == "Did you mean dog?"


def test_a_size_that_is_not_that_of_the_image_is_refused(voc):
    error = refused(load_voc, year="2007", split="test", root=voc({"000001": [("dog", 1, 1, 5, 5)]}, size=(30, 40)))
    assert error.code == "BOXES-SIZE"
    assert "made for an image of 40x30" in error.message
    assert "has 30x40" in error.message


def test_images_without_annotation_are_counted_and_the_first_is_named(voc):
    error = refused(load_voc, year="2007", split="test", root=voc({"000001": [("dog", 1, 1, 5, 5)], "000002": None}))
    assert error.code == "BOXES-MISSING"
    assert "1 of 2 images have no annotation" in error.message
    assert "000002.jpg" in error.message


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (annotation([("dog", 1, 1, 5, 5)])[:-20], "no element found|unclosed|not well-formed|mismatched"),
        ("", "no element found"),
        ("<html></html>", "begins with <html>"),
        (annotation([("dog", 1, 1, 5, 5)], head='<!DOCTYPE a [<!ENTITY x "y">]>'), "declares a document type"),
        (
            annotation([("dog", 1, 1, 5, 5)], head="<?x <!-- ?><!DOCTYPE a [<!ENTITY x 'y'>]><!-- -->"),
            "declares a document",
        ),
        (annotation([("dog", 1, "one", 5, 5)]), "<bndbox><ymin> is 'one', not a number"),
        (annotation([("dog", 1, "nan", 5, 5)]), "<bndbox><ymin> is 'nan', not a number"),
        (annotation([("dog", 1, "9" * 400, 5, 5)]), "not a number"),
        (annotation([("", 1, 1, 5, 5)]), "an object has no name"),
        (annotation([], size=(0, 4)), "the size is 0x4"),
        (annotation([]).replace("<width>40</width>", ""), "<size><width> is missing"),
        ("<annotation>" + " " * MOST_BYTES + "</annotation>", "more than the limit"),
    ],
)
def test_damaged_or_hostile_annotations_are_refused_in_one_line(voc, text, why):
    root = voc({"000001": text})
    error = refused(load_voc, year="2007", split="test", root=root)
    assert error.code == "ANNOTATION-DAMAGED"
    assert "000001.xml" in error.message
    with pytest.raises(DataError, match=why):
        load_voc("2007", split="test", root=root)


def test_bytes_that_are_no_xml_never_do_more_than_be_refused(tmp_path):
    stream, whole = np.random.default_rng(0), annotation([("dog", 1, 1, 5, 5)]).encode()
    file = tmp_path / "x.xml"
    for _ in range(300):
        data = bytearray(whole)
        for place in stream.integers(0, len(data), 3):
            data[place] = stream.integers(0, 256)
        file.write_bytes(bytes(data[: stream.integers(1, len(data) + 1)]))
        try:
            read_annotation(file, counting="edges")
        except DataError as error:
            assert error.code == "ANNOTATION-DAMAGED"


def test_a_billion_laughs_are_refused_where_they_begin(voc):
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
    head = f'<!DOCTYPE a [<!ENTITY l0 "ha">{laughs}]>'
    text = annotation([("&l11;", 1, 1, 5, 5)], head=head)
    assert "document type" in refused(load_voc, year="2007", split="test", root=voc({"000001": text})).message


def test_a_folder_in_the_place_of_a_file_is_refused(tmp_path):
    assert refused(read_annotation, path=tmp_path, counting="edges").code == "ANNOTATION-DAMAGED"


def test_a_set_that_is_not_there_is_missing(tmp_path):
    assert refused(load_voc, year="2012", split="test", root=tmp_path).code == "DATA-MISSING"
    assert refused(load_annotated, name="voc2007", split="test", root=tmp_path).code == "DATA-MISSING"
    with pytest.raises(ConfigError, match="Did you mean voc2007"):
        load_annotated("voc207", split="test")


def test_a_list_that_leads_out_of_the_folder_is_refused(voc):
    root = voc({"000001": [("dog", 1, 1, 5, 5)]})
    (root / "VOCdevkit/VOC2007/ImageSets/Main/test.txt").write_text("../../secret\n")
    assert "no image of VOC" in refused(load_voc, year="2007", split="test", root=root).message


def test_imagenet_s_boxes_are_edges_and_its_classes_are_wordnet_ids(imagenet):
    root = imagenet(
        {"ILSVRC2012_val_00000001": ("n00000002", [("n00000002", 0, 0, 40, 30), ("n00000002", 3, 4, 9, 9)])}
    )
    imagenet({"n00000001_1": ("n00000001", None), "n00000002_1": ("n00000002", None)}, split="train")
    data = load_ilsvrc(split="test", root=root)
    assert data.split.classes == ("n00000001", "n00000002")
    assert data.split.labels.tolist() == [1]
    assert data.boxes[0].tolist() == [[0, 0, 40, 30], [3, 4, 9, 9]]


def test_of_imagenet_s_training_images_those_with_boxes_are_taken(imagenet):
    objects = {"n00000001_7": ("n00000001", [("n00000001", 1, 1, 9, 9)]), "n00000002_5": ("n00000002", None)}
    data = load_ilsvrc(split="train", root=imagenet(objects, split="train", boxes="ILSVRC2012_bbox_train_v2"))
    assert [Path(path).stem for path in data.split.paths] == ["n00000001_7"]


def test_a_validation_image_of_imagenet_without_boxes_is_refused(imagenet):
    imagenet({"n00000001_1": ("n00000001", None), "n00000002_1": ("n00000002", None)}, split="train")
    root = imagenet({"a": ("n00000001", [("n00000001", 1, 1, 9, 9)]), "b": ("n00000001", None)})
    assert refused(load_ilsvrc, split="test", root=root).code == "BOXES-MISSING"


def test_the_size_of_an_image_is_that_of_the_upright_one(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 30)).save(tmp_path / "lying.jpg", exif=exif)
    Image.new("RGB", (40, 30)).save(tmp_path / "plain.png")
    assert upright_size(str(tmp_path / "lying.jpg")) == (40, 30)
    assert upright_size(str(tmp_path / "plain.png")) == (30, 40)
    (tmp_path / "no.png").write_text("no image")
    assert refused(upright_size, source=str(tmp_path / "no.png")).code == "IMAGE-UNREADABLE"


def test_the_embedded_set_is_a_function_of_nothing_and_its_boxes_hold_the_ink():
    first, longer = load_synthetic(split="test", count=6), load_synthetic(split="test", count=12)
    assert np.array_equal(first.split.images, longer.split.images[:6])
    assert np.array_equal(np.concatenate(first.boxes), np.concatenate(longer.boxes[:6]))
    for image, boxes in zip(longer.split.images, longer.boxes, strict=True):
        left, top, right, bottom = boxes[0].astype(int)
        bright = image.min(axis=0) > 127  # a photograph is halved, and digits are brighter in each colour
        rows, columns = np.flatnonzero(bright.any(axis=1)), np.flatnonzero(bright.any(axis=0))
        assert rows.min() >= top and rows.max() < bottom and columns.min() >= left and columns.max() < right
        assert max(rows.min() - top, bottom - 1 - rows.max(), columns.min() - left, right - 1 - columns.max()) <= 3


def test_the_digits_of_train_and_test_are_other_ones():
    train, test = (load_synthetic(split=split, count=40) for split in ("train", "test"))
    assert not np.array_equal(train.split.images, test.split.images)


def test_boxes_and_images_stay_together_when_some_are_taken_or_classes_renamed():
    data = load_synthetic(split="test", count=5)
    some = part(data, np.array([3, 1]))
    assert some.boxes[0] is data.boxes[3]
    assert np.array_equal(some.split.images[1], data.split.images[1])
    more = suited(data, classes=("x", *data.split.classes), channels=3)
    assert np.array_equal(more.split.labels, data.split.labels + 1)
    with pytest.raises(DataError):
        suited(data, classes=data.split.classes[:3], channels=3)


def test_a_record_without_a_box_for_each_image_cannot_be_made():
    data = load_synthetic(split="test", count=2)
    for boxes, why in (
        ((data.boxes[0],), "1 lists of boxes"),
        ((data.boxes[0], np.empty((0, 4))), "image 1: it has no box"),
        ((data.boxes[0], np.array([[0, 0, np.nan, 4]])), "not finite"),
        ((data.boxes[0], np.array([[0.0, 0, 81, 4]])), "outside the image of 80x80"),
    ):
        with pytest.raises(DataError, match=why):
            Annotated(data.split, data.sizes, boxes)


@pytest.mark.parametrize(("size", "box"), [((80, 60), [6, 8, 18, 18]), ((81, 60), [6.075, 8, 18.225, 18])])
def test_imagenet_s_boxes_are_scaled_from_the_file_s_size_to_the_image_s(imagenet, size, box):
    marked = ("n00000001", 3, 4, 9, 9)
    root = imagenet(
        {"n00000001_7": ("n00000001", [marked]), "n00000002_5": ("n00000002", None)},
        split="train",
        boxes="ILSVRC2012_bbox_train",
    )
    Image.new("RGB", size).save(root / "train" / "n00000001" / "n00000001_7.JPEG")
    data = load_ilsvrc(split="train", root=root)
    assert data.boxes[0].tolist() == [pytest.approx(box)]
    assert data.sizes.tolist() == [[size[1], size[0]]]
    Image.new("RGB", (60, 80)).save(root / "train" / "n00000001" / "n00000001_7.JPEG")
    assert refused(load_ilsvrc, split="train", root=root).code == "BOXES-SIZE"


def test_wrong_sizes_and_foreign_classes_are_skipped_if_asked(voc):
    root = voc(
        {
            "000001": [("dog", 1, 1, 5, 5), ("dogg", 1, 1, 5, 5)],
            "000002": annotation([("cat", 1, 1, 5, 5)], size=(9, 9)),
        }
    )
    data = load_voc("2007", split="test", root=root, bad_boxes="skip")
    assert (len(data), data.left_out) == (1, 2)


def test_another_year_s_folder_is_not_taken(voc):
    root = voc({"000001": [("dog", 1, 1, 5, 5)]})
    assert refused(load_voc, year="2012", split="test", root=root / "VOCdevkit" / "VOC2007").code == "DATA-MISSING"
