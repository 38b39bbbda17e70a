"""timm's own models and ours: the same weights, the same logits, and timm takes what we write."""

import timm
import torch
from timm.layers import ClassifierHead
from timm.models.vgg import VGG, ConvMlp
from torch import nn

from tests.weights import origins
from verydeep.backends.check import sample_weights
from verydeep.backends.pytorch import build
from verydeep.families.catalog import network
from verydeep.weights.timm import from_timm, places, to_timm


def numpy_state(model):
    return {key: tensor.numpy() for key, tensor in model.state_dict().items()}


def test_timm_takes_what_we_write_for_a_vgg_with_batch_norm():
    net = network("vgg11_bn", width=1 / 16, classes=10, fc=(64, 64))
    weights = sample_weights(net)
    with torch.device("meta"):
        model = VGG([8, "M"], num_classes=0)
    plan = [4, "M", 8, "M", 16, 16, "M", 32, 32, "M", 32, 32, "M"]
    model.features = VGG(plan, norm_layer=nn.BatchNorm2d, mlp_ratio=1 / 4096, num_classes=0).features
    model.pre_logits, model.head = ConvMlp(32, 64, 7), ClassifierHead(64, 10)
    state = to_timm(net, weights)
    assert list(state) == list(model.state_dict())
    model.load_state_dict({key: torch.from_numpy(array) for key, array in state.items()})
    images = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found, expected = build(net, weights).eval()(images), model.eval()(images)
    assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()


def test_a_state_dict_of_timm_comes_out_as_it_went_in():
    state = numpy_state(origins.timm_model(origins.of_numbers(origins.of_pixels())))
    back = to_timm(origins.NET, from_timm(origins.NET, state))
    assert list(back) == list(state)
    assert all((back[key] == array).all() and back[key].shape == array.shape for key, array in state.items())


def test_timms_resnet_has_torchvisions_names():
    model = timm.create_model("resnet18", num_classes=5).eval()
    net = network("resnet18", classes=5)
    assert len(places(net)) == len(from_timm(net, numpy_state(model)))
    images = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(build(net, from_timm(net, numpy_state(model))).eval()(images), model(images))
    assert list(to_timm(net, sample_weights(net))) == list(model.state_dict())
