"""Weights of any origin: found, read whole or refused whole, and handed over with what is known about their use."""

import json
import re
import shutil
import sys
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.weights.origins import NET
from verydeep.backends.check import sample_weights
from verydeep.errors import ConfigError, WeightsError
from verydeep.families.catalog import network
from verydeep.rewrite.cut import with_head
from verydeep.run import open_run
from verydeep.spec import Dropout, walk
from verydeep.weights import canonical, file_kinds, imagenet
from verydeep.weights.file_kinds import Content
from verydeep.weights.formats import FORMATS, recognise
from verydeep.weights.importing import import_weights
from verydeep.weights.initial import initial
from verydeep.weights.layout import from_ours

WEIGHTS = sample_weights(NET)
SMALL = network("vgg11", input=(3, 32, 32), width=1 / 16, classes=4, fc=(8, 8))
LAYOUTS = [name for name in FORMATS if name != "canonical"]


def stored(name, net=NET, weights=None):
    """The weights as a program stores them, in memory."""
    return from_ours(net, weights or sample_weights(net), places=FORMATS[name].places(net))


def light(name, net):
    """Arrays of a large network that take no memory: each repeats one column of numbers."""
    shapes = {place.key: place.shape for place in FORMATS[name].places(net).values()}
    return {
        key: np.broadcast_to(
            np.linspace(0.1, 1, shape[0], dtype=np.float32).reshape(-1, *[1] * (len(shape) - 1)), shape
        )
        for key, shape in shapes.items()
    }


def refusal(source, net=NET, **options):
    with pytest.raises(WeightsError) as raised:
        import_weights(source, net, **options)
    return raised.value


@pytest.mark.parametrize("name", FORMATS)
def test_arrays_in_memory_come_back_exactly_from_every_format(name):
    imported = import_weights(stored(name, weights=WEIGHTS), NET, format=name)
    assert (imported.format, imported.network) == (name, NET)
    assert list(imported.weights) == list(WEIGHTS)
    for key, array in WEIGHTS.items():
        assert np.array_equal(imported.weights[key], array), key


@pytest.mark.parametrize("name", [name for name in FORMATS if name not in ("caffe", "gluon")])
def test_the_format_is_found_by_names_and_shapes(name):
    assert import_weights(stored(name), NET).format == name


def test_models_of_pytorch_and_gluon_have_the_same_names_where_nothing_is_normalised():
    assert stored("gluon").keys() == stored("model").keys()


def test_names_count_only_in_the_files_that_their_program_writes():
    for name, kind in (("canonical", "hdf5"), ("keras", "torch"), ("caffe", "mxnet"), ("timm", "caffemodel")):
        with pytest.raises(WeightsError, match="no array has a name that vgg16 knows"):
            recognise(NET, Content(kind, stored(name), {}))


def test_caffe_and_matconvnet_call_their_arrays_alike_and_differ_in_shape():
    assert stored("caffe").keys() == stored("matconvnet").keys()
    assert import_weights(stored("caffe"), NET).format == "caffe"


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_missing_an_unknown_and_a_transposed_array_are_named_as_the_program_names_them(name):
    state = stored(name)
    key = FORMATS[name].places(NET)["fc8.weight"].key
    turned = np.ascontiguousarray(state[key].T)
    for wrong, text in (
        ({other: array for other, array in state.items() if other != key}, f"missing: {key}"),
        ({**state, "odd/array": np.ones(3)}, "unknown: odd/array"),
        ({**state, key: turned}, f"shapes: {key} is {turned.shape}, not {state[key].shape}"),
    ):
        error = refusal(wrong, format=name)
        assert error.code == "WEIGHTS-MISMATCH"
        assert text in error.message


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_array_of_the_network_has_a_place_of_its_own(name):
    places = FORMATS[name].places(NET)
    assert list(places) == list(WEIGHTS)
    assert len({place.key for place in places.values()}) == len(WEIGHTS)


@pytest.mark.parametrize("wrong", [0.0, 0.25])
def test_a_kernel_that_is_one_number_everywhere_is_refused(wrong):
    state = stored("torchvision")
    state["features.2.weight"] = np.full_like(state["features.2.weight"], wrong)
    error = refusal(state)
    assert error.code == "WEIGHTS-UNTRAINED"
    assert f"conv1_2.weight is {wrong:g} everywhere" in error.message


def test_a_bias_of_zeros_is_as_training_left_it():
    state = stored("torchvision")
    state["features.2.bias"] = np.zeros_like(state["features.2.bias"])
    assert not import_weights(state, NET).weights["conv1_2.bias"].any()


def test_layers_of_other_shapes_that_were_swapped_are_refused_and_of_equal_shape_cannot_be_seen():
    state = stored("torchvision")
    wrong = {**state, "features.5.weight": state["features.7.weight"], "features.7.weight": state["features.5.weight"]}
    assert "features.5.weight is (8, 8, 3, 3), not (8, 4, 3, 3)" in refusal(wrong).message
    equal = {**state, "features.12.weight": state["features.14.weight"]}
    assert import_weights(equal, NET).format == "torchvision"


@pytest.mark.parametrize("classes", [9, 11])
def test_one_class_more_or_less_is_refused_and_the_ways_are_told(classes):
    for name in ("torchvision", "keras", "matconvnet"):
        error = refusal(stored(name, with_head(NET, classes=classes)))
        assert f"They tell {classes} classes apart: build vgg16 with classes={classes}, load" in error.hint
        assert "or ask for a new head with classes=10" in error.hint


def test_a_new_head_comes_only_when_asked_for_and_is_reported():
    state = stored("keras", with_head(NET, classes=7), sample_weights(with_head(NET, classes=7)))
    found = import_weights(state, NET, classes=10, seed=3)
    assert found.notes[0] == "fc8 is new, drawn with seed 3: 10 classes instead of 7"
    assert found.head == "drawn"
    assert found.network == NET
    assert found.classes == ()
    drawn = initial(NET, seed=3)
    old = sample_weights(with_head(NET, classes=7))
    for name, array in found.weights.items():
        assert np.array_equal(array, (drawn if name.startswith("fc8") else old)[name]), name


def test_the_classes_that_the_file_has_need_no_new_head():
    found = import_weights(stored("timm", NET, WEIGHTS), NET, classes=10)
    assert found.head == "read"
    assert np.array_equal(found.weights["fc8.weight"], WEIGHTS["fc8.weight"])


@pytest.mark.parametrize(
    ("format", "name", "classes"),
    [
        ("torchvision", "vgg16", 10),
        ("torchvision", "vgg19_bn", 1000),
        ("torchvision", "resnet18", 3),
        ("torchvision", "googlenet_bn", 1000),
        ("caffe", "vgg19", 1000),
        ("canonical", "lenet5", 10),
        ("model", "resnet20_cifar", 100),
    ],
)
def test_the_network_is_found_by_names_and_shapes_with_the_classes_of_the_file(format, name, classes):
    found = import_weights(light(format, network(name, classes=classes)))
    assert (found.format, found.network) == (format, network(name, classes=classes))


def test_a_found_vgg_drops_out_as_published_whatever_its_origin_did():
    found = import_weights(light("caffe", network("vgg16")))
    assert [step.layer.rate for step in walk(found.network) if isinstance(step.layer, Dropout)] == [0.5, 0.5]


def test_arrays_of_two_networks_alike_are_refused_until_one_is_named():
    state = light("canonical", network("vgg11"))
    error = refusal(state, None)
    assert error.code == "WEIGHTS-AMBIGUOUS"
    assert "these arrays fit vgg11 and vgg11_lrn alike" in error.message
    assert import_weights(state, "A-LRN").network == network("vgg11_lrn")


def test_arrays_of_no_known_network_are_refused():
    assert refusal(stored("torchvision", SMALL), None).code == "WEIGHTS-FORMAT"
    assert refusal({}, None).code == "WEIGHTS-FORMAT"


def test_the_nearest_known_source_is_named():
    other = network("vgg19", width=1 / 16, classes=10, fc=(64, 64))
    assert refusal(stored("torchvision", other)).hint == "These are torchvision's names of vgg19."
    assert refusal(stored("keras", other)).hint == "These are keras's names of vgg19."
    normalised = network("vgg16_bn", width=1 / 16, classes=10, fc=(64, 64))
    assert refusal(stored("torchvision", normalised)).hint == "These are torchvision's names of vgg16_bn."
    assert refusal(stored("timm", NET), normalised).hint == "These are timm's names of vgg16."


def test_a_prefix_is_pointed_out_with_what_is_behind_it():
    for prefix in ("module.", "model.", "_orig_mod."):
        error = refusal({f"{prefix}{key}": array for key, array in stored("timm").items()})
        assert error.hint == f"All keys begin with '{prefix}'; remove that. These are timm's names of vgg16."


def test_a_checkpoint_with_several_state_dicts_is_refused():
    state = {key: torch.from_numpy(array) for key, array in stored("timm").items()}
    error = refusal({"state_dict": state, "state_dict_ema": state})
    assert "state_dict is a dict, not a tensor" in error.message


def test_keras_files_without_the_classifier_are_refused():
    top = ("fc1", "fc2", "predictions")
    state = {key: array for key, array in stored("keras").items() if not key.startswith(top)}
    assert "missing: fc1/kernel, fc1/bias, fc2/kernel" in refusal(state).message
    counted = {key: array for key, array in stored("keras3").items() if "dense" not in key}
    assert "missing: layers/dense/vars/0" in refusal(counted).message


def test_a_second_array_for_the_same_layer_of_keras_is_refused():
    state = stored("keras")
    state["fc1/again/kernel:0"] = state["fc1/kernel"]
    assert "fc1/again/kernel:0 is a second fc1/kernel" in refusal(state).message


def test_the_halves_of_a_keras_hub_preset_are_refused_each(origin_files):
    backbone = refusal(origin_files / "preset" / "model.weights.h5")
    assert "missing: layers/dense/vars/0, layers/dense/vars/1" in backbone.message
    head = refusal(origin_files / "preset" / "task.weights.h5")
    assert "missing: layers/vgg_backbone/layers/conv2d/vars/0" in head.message


def test_what_optimisers_and_random_generators_saved_is_left_behind():
    rubbish = {"optimizer/vars/0": np.array(3), "layers/dropout/seed_generator/vars/0": np.zeros(2, np.uint32)}
    assert import_weights({**stored("keras3"), **rubbish}, NET).format == "keras3"


def test_preprocessing_is_that_of_the_origin_where_the_images_are():
    for name, (color, deviation) in {
        "torchvision": ("RGB", 0.229 * 255),
        "timm": ("RGB", 0.229 * 255),
        "keras3": ("BGR", 1.0),
        "keras_hub": ("RGB", 0.229 * 255),
        "caffe": ("BGR", 1.0),
        "matconvnet": ("RGB", 1.0),
    }.items():
        record = import_weights(stored(name), NET, format=name).preprocessing
        assert (record.color, record.std[0], record.size) == (color, deviation, (224, 224))
    assert import_weights(stored("torchvision", SMALL), SMALL).preprocessing is None
    for name in ("canonical", "model"):
        assert import_weights(stored(name), NET).preprocessing is None


def test_what_the_file_does_not_say_is_told(origin_files):
    own = "own ImageNet weights; the file does not say"
    assert import_weights(stored("keras"), NET).notes == (f"preprocessing is that of keras's {own}",)
    net = with_head(NET, classes=1000)
    told = import_weights(stored("caffe", net), net).notes
    assert told == (f"preprocessing and class names are those of caffe's {own}",)
    assert import_weights(origin_files / "matconvnet.mat", NET).notes == ()  # its mean and names are in the file
    assert import_weights(stored("canonical"), NET).notes == ()


@pytest.mark.parametrize("name", ["torchvision", "timm"])
def test_nobody_knows_for_which_images_a_resnet_was_trained(name):
    net = network("resnet18", width=1 / 16, classes=10)
    assert import_weights(stored(name, net), net, format=name).preprocessing is None


def exported(keras_file, path, **texts):
    """A .keras file with the members that our export adds."""
    shutil.copy(keras_file, path)
    with zipfile.ZipFile(path, "a") as file:
        for name, text in {"verydeep": {}, **texts}.items():
            file.writestr(f"{name}.json", json.dumps(text))
    return path


def test_our_own_export_to_keras_says_its_preprocessing_and_class_names(origin_files, tmp_path):
    record = replace(imagenet.MEAN_AND_DEVIATION, mean=(0.0,) * 3, std=(1.0,) * 3)
    names = list("abcdefghij")
    file = exported(origin_files / "keras3.keras", tmp_path / "net", preprocessing=record.to_json(), classes=names)
    found = import_weights(file, NET)
    assert (found.format, found.preprocessing, found.classes, found.notes) == ("keras3", record, tuple(names), ())


@pytest.mark.parametrize("names", [{"a": 1}, [1, 2]])
def test_class_names_in_a_keras_file_are_a_list_of_texts(names, origin_files, tmp_path):
    error = refusal(exported(origin_files / "keras3.keras", tmp_path / "net", classes=names))
    assert "classes.json is no list of names" in error.message


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"channels": 1, "mean": [0.0], "std": [1.0], "color": "grey"}, "its preprocessing makes 1 x 224 x 224, and"),
        ({"size": [224, 223]}, "its preprocessing makes 3 x 224 x 223, and the network reads 3 x 224 x 224"),
        ({"resize": 16_385}, "resize must be at most 16384, got 16385"),
        ({"size": [10**9, 10**9], "crop": "none"}, "size must be at most 16384 pixels"),
    ],
)
def test_a_record_that_contradicts_its_network_is_refused_by_all_who_read_it(change, text, tmp_path):
    preprocessing = imagenet.MEAN_PIXEL.to_json() | change
    canonical.save(tmp_path / "w", network=NET, weights=WEIGHTS, preprocessing=preprocessing)
    for read in (import_weights, open_run):
        with pytest.raises(WeightsError) as raised:
            read(tmp_path / "w")
        assert raised.value.code == "WEIGHTS-RECORD"
        assert text in raised.value.message


def test_googlenet_of_torchvision_takes_numbers_from_minus_1_to_1():
    found = import_weights(light("torchvision", network("googlenet_bn")))
    assert found.preprocessing.mean == found.preprocessing.std == (127.5, 127.5, 127.5)


def test_a_thousand_outputs_of_a_known_origin_have_imagenets_names():
    net = with_head(NET, classes=1000)
    names = import_weights(stored("keras", net), net).classes
    assert names == imagenet.class_names()
    assert len(set(names)) == 1000
    assert (names[0], names[340], names[999]) == ("tench", "zebra", "toilet tissue")
    assert import_weights(stored("keras"), NET).classes == ()
    assert import_weights(stored("canonical", net), net).classes == ()


def test_without_torchvision_nobody_knows_the_names(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision.models", None)
    net = with_head(NET, classes=1000)
    assert import_weights(stored("keras", net), net).classes == ()


def test_class_names_of_a_file_count_only_where_they_are_as_many_as_the_outputs(origin_files, monkeypatch):
    content = file_kinds.read(origin_files / "matconvnet.mat")
    assert import_weights(origin_files / "matconvnet.mat", NET).classes == tuple(f"class {n}" for n in range(10))
    few = replace(content, about={**content.about, "classes": ["tench", "zebra"]})
    monkeypatch.setattr(file_kinds, "read", lambda _: few)
    assert import_weights(origin_files / "matconvnet.mat", NET).classes == ()


def save_ours(path, net):
    canonical.save(
        path,
        network=net,
        weights=sample_weights(net),
        preprocessing=imagenet.MEAN_PIXEL.to_json(),
        classes=tuple("abcdefghij"),
    )


def test_a_file_of_ours_brings_network_preprocessing_and_class_names(tmp_path):
    save_ours(tmp_path / "w", NET)
    for wanted in (None, NET):
        found = import_weights(tmp_path / "w", wanted)
        assert (found.network, found.format, found.notes) == (NET, "canonical", ())
        assert found.preprocessing == imagenet.MEAN_PIXEL
        assert found.classes == tuple("abcdefghij")


def test_a_new_head_has_no_class_names(tmp_path):
    save_ours(tmp_path / "w", NET)
    assert import_weights(tmp_path / "w", classes=3).classes == ()


def test_a_file_of_ours_for_another_function_of_the_same_arrays_is_told(tmp_path):
    net = network("vgg11_lrn", width=1 / 16, classes=10, fc=(8, 8))
    save_ours(tmp_path / "w", net)
    found = import_weights(tmp_path / "w", network("vgg11", width=1 / 16, classes=10, fc=(8, 8)))
    assert found.notes == ("the file is of vgg11_lrn, whose layers or images differ from those of vgg11",)


def test_preprocessing_for_images_of_another_size_is_not_handed_over(tmp_path):
    net = network("resnet18", width=1 / 16, classes=10)
    save_ours(tmp_path / "w", net)
    found = import_weights(tmp_path / "w", network("resnet18", width=1 / 16, classes=10, input=(3, 96, 96)))
    assert found.preprocessing is None
    assert len(found.notes) == 1


def test_a_damaged_record_of_preprocessing_is_refused(tmp_path):
    canonical.save(tmp_path / "w", network=NET, weights=WEIGHTS, preprocessing={"mean": 3})
    error = refusal(tmp_path / "w")
    assert error.code == "WEIGHTS-RECORD"
    assert error.message.startswith(f"{tmp_path / 'w'}: ")


def test_unknown_formats_and_networks_are_refused_with_the_nearest_name():
    with pytest.raises(ConfigError, match=re.escape("no weight format is called 'kera'. Did you mean keras")):
        import_weights({}, NET, format="kera")
    with pytest.raises(ConfigError, match="no network is called 'vgg61'"):
        import_weights({}, "vgg61")
