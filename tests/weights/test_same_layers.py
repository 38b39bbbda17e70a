"""A file that lists its layers is read only for the network that it lists."""

import copy
from dataclasses import replace

import pytest

from tests.weights.origins import NET
from verydeep.errors import WeightsError
from verydeep.families.catalog import network
from verydeep.weights import file_kinds
from verydeep.weights.importing import import_weights
from verydeep.weights.same_layers import refuse_other_layers


def changed_keras(content, change):
    """The content of a Keras file whose list of layers was changed in place."""
    config = copy.deepcopy(content.about["config"])
    layers = config["config"]["layers"]
    change({layer["config"]["name"]: layer["config"] for layer in layers}, layers)
    return replace(content, about={**content.about, "config": config})


def put(layers, position, kind, **options):
    layers.insert(position, {"class_name": kind, "config": {"name": "added", **options}})


CHANGES = {
    "fc1 has no ReLU": (
        lambda named, _: named["fc1"].update(activation="linear"),
        "it has fc2 (linear) where relu6 (relu) is expected",
    ),
    "a convolution has another activation": (
        lambda named, _: named["block1_conv1"].update(activation="tanh"),
        "it has block1_conv1 (tanh) where relu1_1 (relu) is expected",
    ),
    "pixels are rescaled inside": (
        lambda _, layers: put(layers, 1, "Rescaling", scale=1 / 255),
        "it has added (Rescaling) where conv1_1 (conv) is expected",
    ),
    "a pool averages": (
        lambda named, layers: layers[layers.index(pool_of(layers))].update(class_name="AveragePooling2D"),
        "it has block1_pool (AveragePooling2D) where pool1 (pool) is expected",
    ),
    "a convolution strides": (
        lambda named, _: named["block2_conv1"].update(strides=[2, 2]),
        "it has block2_conv1 (conv strides [2, 2]) where conv2_1 (conv) is expected",
    ),
    "a convolution does not pad": (
        lambda named, _: named["block2_conv1"].update(padding="valid"),
        "it has block2_conv1 (conv padding valid) where conv2_1 (conv) is expected",
    ),
    "the scores are made positive": (
        lambda named, _: named["predictions"].update(activation="relu"),
        "it has predictions (relu) where nothing is expected",
    ),
    "the mean over the map is taken": (
        lambda _, layers: put(layers, len(layers) - 3, "GlobalAveragePooling2D"),
        "it has added (GlobalAveragePooling2D) where fc6 (linear) is expected",
    ),
}


def pool_of(layers):
    return next(layer for layer in layers if layer["config"]["name"] == "block1_pool")


@pytest.mark.parametrize("what", CHANGES)
def test_a_model_of_keras_with_other_layers_is_refused(what, origin_files):
    change, text = CHANGES[what]
    for file in ("keras3.keras", "keras_whole.h5"):
        with pytest.raises(WeightsError) as raised:
            refuse_other_layers(NET, changed_keras(file_kinds.read(origin_files / file), change))
        assert raised.value.code == "WEIGHTS-OTHER-LAYERS"
        assert text in raised.value.message


def test_what_does_not_change_the_scores_may_stand_in_the_file(origin_files):
    content = file_kinds.read(origin_files / "keras3.keras")
    for change in (
        lambda _, layers: put(layers, len(layers) - 1, "Dropout", rate=0.5),
        lambda named, _: named["predictions"].update(activation="softmax"),
        lambda named, layers: (
            named["fc1"].update(activation="linear"),
            put(layers, len(layers) - 2, "Activation", activation="relu"),
        ),
        lambda named, layers: (named["fc1"].pop("activation"), put(layers, len(layers) - 2, "ReLU")),
        lambda named, _: named["fc1"].update(activation={"class_name": "function", "config": "relu"}),
    ):
        refuse_other_layers(NET, changed_keras(content, change))


@pytest.mark.parametrize("config", [None, 3, {}, {"config": []}, {"config": {"layers": 5}}, {"config": {"layers": []}}])
def test_a_description_that_is_none_says_nothing(config, origin_files):
    content = file_kinds.read(origin_files / "keras3.weights.h5")
    refuse_other_layers(NET, replace(content, about={"config": config}))


@pytest.mark.parametrize("layers", [[3], [{}], [{"class_name": {}, "config": "conv"}]])
def test_a_description_of_strange_layers_is_refused_in_words(layers, origin_files):
    content = file_kinds.read(origin_files / "keras3.weights.h5")
    with pytest.raises(WeightsError, match="the file describes another network"):
        refuse_other_layers(NET, replace(content, about={"config": {"config": {"layers": layers}}}))


@pytest.mark.parametrize("file", ["caffe.caffemodel", "caffe_2014.caffemodel", "matconvnet.mat"])
def test_a_relu_that_caffe_or_matconvnet_lacks_is_noticed(file, origin_files):
    content = file_kinds.read(origin_files / file)
    refuse_other_layers(NET, content)
    without = [[name, kind] for name, kind in content.about["layers"] if name != "relu6"]
    with pytest.raises(WeightsError, match=r"it has fc7 \((linear|conv)\) where relu6 \(relu\) is expected"):
        refuse_other_layers(NET, replace(content, about={**content.about, "layers": without}))


def test_a_normalisation_in_a_caffe_model_is_noticed(origin_files):
    content = file_kinds.read(origin_files / "caffe.caffemodel")
    layers = [*content.about["layers"][:2], ["norm1", "LRN"], *content.about["layers"][2:]]
    with pytest.raises(WeightsError, match=r"it has norm1 \(LRN\) where conv1_2 \(conv\) is expected"):
        refuse_other_layers(NET, replace(content, about={"layers": layers}))


def test_a_caffe_model_with_nothing_but_blobs_says_nothing_of_its_layers(origin_files):
    content = file_kinds.read(origin_files / "caffe.caffemodel")
    layers = [[name, kind] for name, kind in content.about["layers"] if kind in ("Convolution", "InnerProduct")]
    refuse_other_layers(NET, replace(content, about={"layers": layers}))


def test_the_import_looks_at_the_layers(origin_files, monkeypatch):
    content = file_kinds.read(origin_files / "keras3.keras")
    wrong = changed_keras(content, CHANGES["fc1 has no ReLU"][0])
    monkeypatch.setattr(file_kinds, "read", lambda _: wrong)
    with pytest.raises(WeightsError, match="the file describes another network than vgg16"):
        import_weights(origin_files / "keras3.keras", NET)


def test_a_network_without_the_last_pool_is_not_what_the_file_lists(origin_files):
    content = file_kinds.read(origin_files / "matconvnet.mat")
    with pytest.raises(WeightsError, match=r"where pool5 \(pool\) is expected|has pool5 \(pool\) where"):
        refuse_other_layers(network("vgg16", width=1 / 16, input=(3, 16, 16), classes=10, fc=(64, 64)), content)
