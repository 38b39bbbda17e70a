"""The names and axes of each format, spot by spot, and the networks that it does not have."""

import pytest

from verydeep.errors import WeightsError
from verydeep.families.catalog import CATALOG, network
from verydeep.rewrite.dense import dense
from verydeep.weights.formats import FORMATS

VGG16 = network("vgg16")
PLAIN_VGG = {"vgg11", "vgg13", "vgg16", "vgg19"}
NORMALISED_VGG = {f"{name}_bn" for name in PLAIN_VGG}
RESNETS = {f"resnet{depth}" for depth in (18, 34, 50, 101, 152)}

HAVE = {  # the networks of the catalogue that each format has
    "canonical": set(CATALOG),
    "model": set(CATALOG),
    "torchvision": PLAIN_VGG | NORMALISED_VGG | RESNETS | {"alexnet", "googlenet_bn"},
    "timm": PLAIN_VGG | NORMALISED_VGG | RESNETS,
    "keras": PLAIN_VGG,
    "keras3": PLAIN_VGG,
    "keras_hub": PLAIN_VGG,
    "keras_hub_flatten": PLAIN_VGG,
    "flaxmodels": PLAIN_VGG,
    "caffe": PLAIN_VGG,
    "matconvnet": PLAIN_VGG,
}

SPOTS = {  # the key and the shape of some arrays of VGG-16
    "canonical": {"fc8.bias": ("fc8.bias", (1000,))},
    "model": {"conv5_3.weight": ("block5.conv5_3.weight", (512, 512, 3, 3))},
    "torchvision": {"fc7.weight": ("classifier.3.weight", (4096, 4096))},
    "timm": {
        "conv5_3.weight": ("features.28.weight", (512, 512, 3, 3)),
        "fc6.weight": ("pre_logits.fc1.weight", (4096, 512, 7, 7)),
        "fc7.weight": ("pre_logits.fc2.weight", (4096, 4096, 1, 1)),
        "fc8.weight": ("head.fc.weight", (1000, 4096)),
        "fc8.bias": ("head.fc.bias", (1000,)),
    },
    "keras": {
        "conv1_1.weight": ("block1_conv1/kernel", (3, 3, 3, 64)),
        "conv5_3.bias": ("block5_conv3/bias", (512,)),
        "fc6.weight": ("fc1/kernel", (25088, 4096)),
        "fc8.weight": ("predictions/kernel", (4096, 1000)),
    },
    "keras3": {
        "conv1_1.weight": ("layers/conv2d/vars/0", (3, 3, 3, 64)),
        "conv5_3.bias": ("layers/conv2d_12/vars/1", (512,)),
        "fc6.weight": ("layers/dense/vars/0", (25088, 4096)),
        "fc8.weight": ("layers/dense_2/vars/0", (4096, 1000)),
    },
    "keras_hub": {
        "conv1_2.weight": ("layers/vgg_backbone/layers/conv2d_1/vars/0", (3, 3, 64, 64)),
        "fc6.weight": ("layers/sequential/layers/conv2d/vars/0", (7, 7, 512, 4096)),
        "fc7.weight": ("layers/sequential/layers/conv2d_1/vars/0", (1, 1, 4096, 4096)),
        "fc8.weight": ("layers/sequential/layers/dense/vars/0", (4096, 1000)),
    },
    "keras_hub_flatten": {"fc6.weight": ("layers/sequential/layers/dense/vars/0", (25088, 4096))},
    "flaxmodels": {
        "conv1_1.weight": ("conv1_1/weight", (3, 3, 3, 64)),
        "fc6.weight": ("fc6/weight", (25088, 4096)),
    },
    "caffe": {
        "conv1_1.weight": ("conv1_1/0", (64, 3, 3, 3)),
        "fc6.weight": ("fc6/0", (4096, 25088)),
        "fc6.bias": ("fc6/1", (4096,)),
    },
    "matconvnet": {
        "conv1_1.weight": ("conv1_1/0", (3, 3, 3, 64)),
        "fc6.weight": ("fc6/0", (7, 7, 512, 4096)),
        "fc8.weight": ("fc8/0", (1, 1, 4096, 1000)),
    },
}


@pytest.mark.parametrize("name", SPOTS)
def test_keys_and_shapes_are_the_programs(name):
    places = FORMATS[name].places(VGG16)
    assert {ours: (places[ours].key, places[ours].shape) for ours in SPOTS[name]} == SPOTS[name]


@pytest.mark.parametrize("name", HAVE)
def test_a_format_has_the_networks_that_its_program_has_and_refuses_all_others(name):
    for known, family in CATALOG.items():
        if known in HAVE[name]:
            assert len(FORMATS[name].places(family())) > 0
        else:
            with pytest.raises(WeightsError, match=r"has no .*form") as raised:
                FORMATS[name].places(family())
            assert (raised.value.code, bool(raised.value.hint)) == ("WEIGHTS-NO-FORM", True)


@pytest.mark.parametrize("name", sorted(set(HAVE) - {"canonical", "model"}))
def test_a_changed_network_has_no_form(name):
    with pytest.raises(WeightsError, match=r"has no .*form"):
        FORMATS[name].places(dense(VGG16))
