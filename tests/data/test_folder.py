"""Folders of images: which files and classes count, in which order, and what is said about the others."""

import json
import os
from pathlib import Path

import pytest

from tests.data.images import tree
from verydeep.data.catalog import load
from verydeep.data.imagenet import class_titles
from verydeep.errors import DataError


def names(split):
    return [Path(path).name for path in split.paths]


def test_train_and_test_folders_are_read_with_the_classes_of_train(tmp_path):
    tree(tmp_path, ["train/a", "train/b", "train/c", "test/b", "test/c", "val/a"])
    train, test = (load("folder", split=part, root=tmp_path) for part in ("train", "test"))
    assert train.classes == test.classes == ("a", "b", "c")
    assert train.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert test.labels.tolist() == [1, 1, 2, 2]
    assert all("/test/" in path for path in test.paths)


def test_val_is_the_test_split_where_there_is_no_test(tmp_path):
    tree(tmp_path, ["train/a", "train/b", "val/b"])
    test = load("folder", split="test", root=tmp_path)
    assert test.labels.tolist() == [1, 1] and all("/val/" in path for path in test.paths)


def test_a_path_is_a_folder_of_images(tmp_path):
    tree(tmp_path, ["cat", "dog"])
    split = load(str(tmp_path), split="train")
    assert split.classes == ("cat", "dog") and len(split) == 4
    assert all(Path(path).is_absolute() for path in split.paths)


def test_paths_are_absolute_for_a_relative_root(tmp_path, monkeypatch):
    tree(tmp_path / "set", ["cat"])
    monkeypatch.chdir(tmp_path)
    assert load("./set", split="train").paths[0] == str(tmp_path / "set" / "cat" / "0.png")


def test_a_folder_of_classes_alone_has_no_test_split(tmp_path):
    tree(tmp_path, ["cat", "dog"])
    with pytest.raises(DataError) as caught:
        load("folder", split="test", root=tmp_path)
    assert caught.value.code == "DATA-NO-TEST"


def test_a_class_may_be_called_train(tmp_path):
    tree(tmp_path, ["train", "ship"])
    assert load("folder", split="train", root=tmp_path).classes == ("ship", "train")


def test_classes_and_files_are_sorted_by_code_point_whatever_the_order_on_disk(tmp_path):
    tree(tmp_path, ["10", "9", "é", "Z", "a", "2"])
    (tmp_path / "2" / "10.png").write_bytes(b"x")
    split = load("folder", split="train", root=tmp_path)
    assert split.classes == ("10", "2", "9", "Z", "a", "é")
    assert names(split)[2:5] == ["0.png", "1.png", "10.png"]


def test_a_class_that_is_only_in_test_is_named(tmp_path):
    tree(tmp_path, ["train/a", "train/b", "test/a", "test/zebra"])
    with pytest.raises(DataError, match="zebra") as caught:
        load("folder", split="test", root=tmp_path)
    assert caught.value.code == "DATA-CLASSES"


def test_an_empty_class_of_train_is_named_and_one_of_test_left_out(tmp_path):
    tree(tmp_path, ["train/a", "train/b", "test/a"])
    (tmp_path / "test" / "b").mkdir()
    assert set(load("folder", split="test", root=tmp_path).labels.tolist()) == {0}
    (tmp_path / "train" / "void").mkdir()
    with pytest.raises(DataError, match="void") as caught:
        load("folder", split="train", root=tmp_path)
    assert caught.value.code == "DATA-EMPTY-CLASS"


def test_hidden_files_litter_and_other_files_are_passed_over(tmp_path):
    tree(tmp_path, ["a", "b", ".ipynb_checkpoints", "__MACOSX"])
    for name in ("._0.jpg", "Thumbs.db", "notes.txt", "desktop.ini"):
        (tmp_path / "a" / name).write_bytes(b"x")
    (tmp_path / "a" / ".hidden").mkdir()
    (tmp_path / "a" / ".hidden" / "x.jpg").write_bytes(b"x")
    split = load("folder", split="train", root=tmp_path)
    assert split.classes == ("a", "b") and names(split) == ["0.png", "1.png"] * 2


def test_images_in_deeper_folders_belong_to_the_class(tmp_path):
    tree(tmp_path, ["a/monday", "a/tuesday", "b"])
    split = load("folder", split="train", root=tmp_path)
    assert split.classes == ("a", "b") and split.labels.tolist() == [0, 0, 0, 0, 1, 1]


def test_fifos_devices_and_loops_are_never_opened(tmp_path):
    tree(tmp_path, ["a", "b"])
    os.mkfifo(tmp_path / "a" / "pipe.jpg")
    (tmp_path / "a" / "zero.jpg").symlink_to("/dev/zero")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "self").symlink_to(tmp_path / "self")
    split = load("folder", split="train", root=tmp_path)
    assert split.classes == ("a", "b") and names(split) == ["0.png", "1.png"] * 2


def test_a_broken_link_is_kept_so_that_it_can_be_reported(tmp_path):
    tree(tmp_path, ["a"])
    (tmp_path / "a" / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (tmp_path / "a" / "self.jpg").symlink_to(tmp_path / "a" / "self.jpg")
    assert names(load("folder", split="train", root=tmp_path)) == ["0.png", "1.png", "gone.jpg", "self.jpg"]


def test_a_linked_class_folder_and_a_linked_image_are_read(tmp_path):
    tree(tmp_path / "elsewhere", ["cats"])
    tree(tmp_path / "set", ["dog"])
    (tmp_path / "set" / "cat").symlink_to(tmp_path / "elsewhere" / "cats")
    (tmp_path / "set" / "dog" / "link.png").symlink_to(tmp_path / "set" / "dog" / "0.png")
    split = load("folder", split="train", root=tmp_path / "set")
    assert split.classes == ("cat", "dog") and split.labels.tolist() == [0, 0, 1, 1, 1]


def test_a_class_name_that_is_not_unicode_is_refused(tmp_path):
    tree(tmp_path, ["a"])
    (tmp_path / os.fsdecode(b"caf\xe9")).mkdir()
    with pytest.raises(DataError) as caught:
        load("folder", split="train", root=tmp_path)
    assert caught.value.code == "DATA-CLASS-NAME" and caught.value.line().encode()


def test_a_folder_that_cannot_be_listed_is_named(tmp_path, monkeypatch):
    tree(tmp_path, ["a"])

    def denied(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.scandir", denied)
    with pytest.raises(DataError, match=f"cannot list {tmp_path}"):
        load("folder", split="train", root=tmp_path)


def test_an_empty_and_a_missing_folder_are_named(tmp_path):
    with pytest.raises(DataError, match="no class folders"):
        load("folder", split="train", root=tmp_path)
    for name, root in (("folder", tmp_path / "gone"), (str(tmp_path / "gone"), None)):
        with pytest.raises(DataError, match="gone") as caught:
            load(name, split="train", root=root)
        assert caught.value.code == "DATA-MISSING"


@pytest.mark.parametrize("parent", [".", "ILSVRC/Data/CLS-LOC"])
def test_imagenet_is_found_in_its_usual_places(tmp_path, parent):
    tree(tmp_path / parent, ["train/n01440764", "train/n02102040", "val/n02102040"])
    train, test = (load("imagenet", split=part, root=tmp_path) for part in ("train", "test"))
    assert train.classes == test.classes == ("n01440764", "n02102040")
    assert test.labels.tolist() == [1, 1]


def test_imagenet_with_unsorted_validation_images_says_how_to_sort_them(tmp_path):
    tree(tmp_path, ["train/n01440764", "val"])
    with pytest.raises(DataError, match="one folder per WordNet id"):
        load("imagenet", split="test", root=tmp_path)


def test_imagenet_refuses_a_folder_that_is_no_wordnet_id(tmp_path):
    tree(tmp_path, ["train/tench", "val/tench"])
    with pytest.raises(DataError, match="'tench'"):
        load("imagenet", split="train", root=tmp_path)


def test_class_titles_come_from_either_file(tmp_path):
    assert class_titles(tmp_path) == {}
    (tmp_path / "classes.json").write_text(json.dumps([{"wnid": "n01440764", "name": "tench"}]))
    assert class_titles(tmp_path) == {"n01440764": "tench"}
    (tmp_path / "LOC_synset_mapping.txt").write_text("n01440764 tench, Tinca tinca\n")
    assert class_titles(tmp_path) == {"n01440764": "tench, Tinca tinca"}
    (tmp_path / "LOC_synset_mapping.txt").write_text("n01440764\n")
    with pytest.raises(DataError, match="damaged"):
        class_titles(tmp_path)


def test_real_imagenet_folders_are_read(shared_data):
    train = load("imagenet", split="train", root=shared_data / "imagenette-mini")
    test = load("imagenet", split="test", root=shared_data / "imagenette-mini")
    assert (len(train), len(test), len(train.classes)) == (1000, 500, 10)
    photos = load(str(shared_data / "photos-100"), split="train")
    assert len(photos) == len(photos.classes) == 100
    assert class_titles(shared_data / "photos-100")["n01440764"] == "tench"
