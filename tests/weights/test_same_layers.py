"""A file that lists its layers is read only for the network that it lists."""

import copy
import io
import re
from dataclasses import replace

import h5py
import pytest

from tests.weights import origins
from tests.weights.origins import NET, field
from verydeep.backends.check import sample_weights
from verydeep.errors import WeightsError
from verydeep.families.catalog import network
from verydeep.weights import caffe_file, file_kinds
from verydeep.weights.importing import import_weights
from verydeep.weights.same_layers import refuse_other_layers


def changed_keras(content, change):
    """The content of a Keras file whose list of layers was changed in place."""
    config = copy.deepcopy(content.about["config"])
    layers = config["config"]["layers"]
    change({layer["config"]["name"]: layer["config"] for layer in layers}, layers)
    return replace(content, about={**content.about, "config": config})


def layers_of(kind, **options):
    """The description of a model of one layer."""
    return {"class_name": "Sequential", "config": {"layers": [{"class_name": kind, "config": options}]}}


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
    without = [layer for layer in content.about["layers"] if layer[0] != "relu6"]
    with pytest.raises(WeightsError, match=r"it has fc7 \((linear|conv)\) where relu6 \(relu\) is expected"):
        refuse_other_layers(NET, replace(content, about={**content.about, "layers": without}))


def test_a_normalisation_in_a_caffe_model_is_noticed(origin_files):
    content = file_kinds.read(origin_files / "caffe.caffemodel")
    layers = [*content.about["layers"][:2], ["norm1", "LRN", {}], *content.about["layers"][2:]]
    with pytest.raises(WeightsError, match=r"it has norm1 \(LRN\) where conv1_2 \(conv\) is expected"):
        refuse_other_layers(NET, replace(content, about={"layers": layers}))


def test_a_caffe_model_with_nothing_but_blobs_says_nothing_of_its_layers(origin_files):
    content = file_kinds.read(origin_files / "caffe.caffemodel")
    layers = [layer for layer in content.about["layers"] if layer[1] in ("Convolution", "InnerProduct")]
    refuse_other_layers(NET, replace(content, about={"layers": layers}))


CONVOLUTIONS = {  # in the parameters of Caffe: the fields, and what they mean
    "unpadded": (bytes([4 << 3, 3]), "conv pad [0, 0]"),
    "in strides": (origins.CONVOLUTION + bytes([6 << 3, 2]), "conv stride [2, 2]"),
    "in strides of width": (origins.CONVOLUTION + bytes([13 << 3, 1, 14 << 3, 2]), "conv stride [1, 2]"),
    "padded in width alone": (bytes([4 << 3, 3, 9 << 3, 0, 10 << 3, 1]), "conv pad [0, 1]"),
    "dilated, packed": (origins.CONVOLUTION + origins.field(18, bytes([2, 2])), "conv dilation [2, 2]"),
    "in groups": (origins.CONVOLUTION + bytes([5 << 3, 2]), "conv group 2"),
}
POOLS = {
    "averaged": (origins.POOLING + bytes([1 << 3, 1]), "pool pool AVE"),
    "of 3x3": (bytes([2 << 3, 3, 3 << 3, 2]), "pool kernel [3, 3]"),
    "over all": (bytes([12 << 3, 1]), "pool kernel global stride [1, 1]"),
    "of height 3": (origins.POOLING + bytes([5 << 3, 3, 6 << 3, 2]), "pool kernel [3, 2]"),
}


@pytest.mark.parametrize("generation", [1, 2])
@pytest.mark.parametrize(
    ("name", "fields", "word"),
    [("CONVOLUTION", *case) for case in CONVOLUTIONS.values()] + [("POOLING", *case) for case in POOLS.values()],
)
def test_a_caffe_model_with_other_windows_is_refused(name, fields, word, generation, tmp_path, monkeypatch):
    monkeypatch.setattr(origins, name, fields)
    origins.write_caffe(sample_weights(NET), tmp_path / "net", generation=generation)
    with pytest.raises(WeightsError, match=re.escape(f"({word})")) as raised:
        import_weights(tmp_path / "net", NET)
    assert raised.value.code == "WEIGHTS-OTHER-LAYERS"


@pytest.mark.parametrize("generation", [1, 2])
def test_a_caffe_model_that_does_not_describe_its_windows_is_read(generation, tmp_path, monkeypatch):
    monkeypatch.setattr(origins, "CONVOLUTION", b"")
    monkeypatch.setattr(origins, "POOLING", b"")
    origins.write_caffe(sample_weights(NET), tmp_path / "net", generation=generation)
    assert import_weights(tmp_path / "net", NET).format == "caffe"


def test_the_windows_of_a_caffe_model_of_2013_are_read_too():
    layer = field(1, b"pool1") + field(2, b"pool") + bytes([7 << 3, 1, 8 << 3, 3, 10 << 3, 2, 11 << 3, 1])
    _, about = caffe_file.parse(io.BytesIO(field(2, field(1, layer))))
    (name, kind, options) = about["layers"][0]
    assert (name, kind) == ("pool1", "Pooling")
    assert options.items() >= {"pool": "AVE", "kernel": [3, 3], "stride": [2, 2], "pad": [1, 1]}.items()


@pytest.mark.parametrize(
    ("layer", "option", "value", "word"),
    [
        ("conv1_2", "pad", [0, 0, 0, 0], "conv pad [0, 0, 0, 0]"),
        ("conv1_2", "pad", 0, "conv pad [0, 0, 0, 0]"),
        ("conv1_2", "stride", 2, "conv stride [2, 2]"),
        ("fc6", "pad", 3, "conv pad [3, 3, 3, 3]"),
        ("pool1", "method", "avg", "pool method avg"),
        ("pool1", "pool", [3, 3], "pool pool [3, 3]"),
    ],
)
def test_a_matconvnet_network_with_other_windows_is_refused(layer, option, value, word, tmp_path, monkeypatch):
    write_changed_matconvnet(tmp_path / "net", monkeypatch, layer=layer, change={option: value})
    with pytest.raises(WeightsError, match=re.escape(f"({word})")) as raised:
        import_weights(tmp_path / "net", NET)
    assert raised.value.code == "WEIGHTS-OTHER-LAYERS"


def test_the_pools_of_matconvnet_that_were_converted_from_caffe_are_taken(tmp_path, monkeypatch):
    write_changed_matconvnet(tmp_path / "net", monkeypatch, layer="pool1", change={"pad": [0, 1, 0, 1]})
    assert import_weights(tmp_path / "net", NET).format == "matconvnet"


def test_a_window_of_matconvnet_that_is_none_is_damage(tmp_path, monkeypatch):
    write_changed_matconvnet(tmp_path / "net", monkeypatch, layer="pool1", change={"pad": [0, 1, 0]})
    with pytest.raises(WeightsError, match="pad of pool1 is not 4 numbers"):
        import_weights(tmp_path / "net", NET)


def write_changed_matconvnet(file, monkeypatch, *, layer, change):
    """A MatConvNet network of which one layer has other fields."""
    save = origins.scipy.io.savemat

    def changed(path, variables, **options):
        next(one for one in variables["layers"][0] if one["name"] == layer).update(change)
        save(path, variables, **options)

    monkeypatch.setattr(origins.scipy.io, "savemat", changed)
    origins.write_matconvnet(sample_weights(NET), file)


@pytest.mark.parametrize(
    ("about", "found"),
    [
        ({"backend": "theano"}, "the backend theano"),
        ({"config": layers_of("Conv2D", data_format="channels_first")}, "data_format channels_first"),
        ({"config": layers_of("Flatten", data_format="channels_first")}, "data_format channels_first"),
        ({"config": layers_of("Convolution2D", dim_ordering="th")}, "dim_ordering th"),
        ({"config": {"config": {"backbone": layers_of("Conv2D", data_format="channels_first")}}}, "data_format chann"),
    ],
)
def test_keras_with_the_channels_first_is_refused(about, found, origin_files):
    content = file_kinds.read(origin_files / "keras2.h5")
    with pytest.raises(WeightsError, match=f"the file is of {found}") as raised:
        refuse_other_layers(NET, replace(content, about={**content.about, **about}))
    assert raised.value.code == "WEIGHTS-OTHER-LAYERS"


def test_the_backend_that_a_keras_file_states_is_looked_at(origin_files, tmp_path):
    copy_of = tmp_path / "theano.h5"
    copy_of.write_bytes((origin_files / "keras2.h5").read_bytes())
    with h5py.File(copy_of, "r+") as file:
        file.attrs["backend"] = b"theano"
    with pytest.raises(WeightsError, match="the file is of the backend theano"):
        import_weights(copy_of, NET)


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
