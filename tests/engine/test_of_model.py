"""Features of a PyTorch model by our kernels: only where they are what the model would give, and never stale."""

import numpy as np
import pytest
import torch
from torch import nn

import verydeep as vd
from tests.engine.nets import error, net, weights
from verydeep.backends.check import TOLERANCE
from verydeep.engine import library, of_model
from verydeep.engine.choice import EngineInUse
from verydeep.errors import ConfigError, WeightsError

NAME = "vgg13_bn"

pytestmark = pytest.mark.usefixtures("compiled")


@pytest.fixture
def model() -> nn.Sequential:
    return vd.build(net(NAME), weights=weights(NAME)).eval()


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(2, *net(NAME).input, generator=torch.Generator().manual_seed(3))


def is_ours(model: nn.Module, images: torch.Tensor) -> bool:
    return vd.engine_of(model, images).engine == "verydeep"


def check(model: nn.Module, images: torch.Tensor, *layers: str) -> None:
    """Our features are what PyTorch gives now, and were not computed by PyTorch."""
    assert is_ours(model, images)
    found, expected = vd.features(model, images, layers), vd.features(model, images, layers, engine="pytorch")
    for name in layers:
        assert error(found[name], expected[name].numpy()) <= TOLERANCE
        assert found[name].stride() == expected[name].stride()


@pytest.mark.parametrize("layout", ["channels_first", "channels_last"])
def test_features_are_those_of_pytorch_and_lie_in_memory_as_its_own(images, layout):
    model = vd.build(net(NAME), weights=weights(NAME), layout=layout).eval()
    check(model, images, "conv1_1", "relu3_2", "pool5", "fc8")
    check(model, images.contiguous(memory_format=torch.channels_last), "relu2_1")


def test_an_engine_is_kept_while_the_weights_are_the_same(model, images):
    vd.features(model, images, "relu1_1")
    kept = of_model._kept[model]
    vd.features(model, images, ("pool2", "fc8"))
    assert of_model._kept[model] is kept


CONV, BIAS, FC = "block3.conv3_1.weight", "block3.bn3_1.bias", "head.fc7.weight"


def scaled(tensor: torch.Tensor) -> None:
    with torch.no_grad():
        tensor *= 1.5


def turned(tensor: torch.Tensor) -> None:
    """Rearranged behind PyTorch's back: the same numbers at other places."""
    tensor.data.copy_(tensor.data.flip(1) if tensor.ndim > 1 else tensor.data.flip(0))


def replaced(tensor: torch.Tensor) -> None:
    tensor.data = 0.5 * tensor.data


@pytest.mark.parametrize("change", [scaled, turned, replaced])
@pytest.mark.parametrize("name", [CONV, BIAS, FC])
@pytest.mark.parametrize("before", ["relu1_1", "fc8"])
def test_a_change_of_any_weight_is_seen(model, images, change, name, before):
    vd.features(model, images, before)
    old = vd.features(model, images, "fc8")["fc8"] if before == "fc8" else None
    change(model.get_parameter(name))
    check(model, images, "fc8")
    assert old is None or error(vd.features(model, images, "fc8")["fc8"], old.numpy()) > 1e-4


def test_set_weights_and_load_state_dict_are_seen(model, images):
    check(model, images, "fc8")
    vd.set_weights(model, {name: np.float32(0.9) * array for name, array in weights(NAME).items()})
    check(model, images, "fc8")
    state = {name: 1.1 * tensor for name, tensor in model.state_dict().items()}
    model.load_state_dict(state, assign=True)
    check(model, images, "fc8")


def in_train_mode(model: nn.Sequential) -> None:
    model.get_submodule("block1.bn1_1").train()


def in_double(model: nn.Sequential) -> None:
    model.get_submodule("head").double()


def with_a_hook(model: nn.Sequential) -> None:
    model.get_submodule("block2").register_forward_hook(lambda module, inputs, output: 2 * output)


def with_another_module(model: nn.Sequential) -> None:
    model.get_submodule("block1").relu1_1 = nn.GELU().eval()


def with_another_forward(model: nn.Sequential) -> None:
    model.get_submodule("block1.relu1_1").forward = torch.sigmoid  # type: ignore[method-assign]


def with_another_window(model: nn.Sequential) -> None:
    model.get_submodule("block1.pool1").kernel_size = 3


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (in_train_mode, "the model is in train mode"),
        (in_double, "the model is not float32"),
        (with_a_hook, "a module or a hook was added"),
        (with_another_module, "a module or a hook was added"),
        (with_another_forward, "a module or a hook was added"),
        (with_another_window, "a module or a hook was added"),
    ],
)
def test_a_model_that_is_no_longer_its_description_stays_with_pytorch(model, images, change, why):
    vd.features(model, images, "pool1")
    change(model)
    choice = vd.engine_of(model, images)
    assert choice.engine == "pytorch"
    assert why in choice.reason
    with pytest.raises(ConfigError, match=f"the engine verydeep cannot run here: .*{why}") as refused:
        vd.features(model, images, "pool1", engine="verydeep")
    assert refused.value.code == "ENGINE-UNAVAILABLE"


def test_images_that_want_gradients_or_another_precision_stay_with_pytorch(model, images):
    assert is_ours(model, images)
    assert not is_ours(model, images.clone().requires_grad_())
    assert not is_ours(model, images.double())
    assert not is_ours(model, images[0])
    with torch.autocast("cpu", torch.bfloat16):
        assert not is_ours(model, images)


def test_it_says_why_pytorch_computes_images_and_in_which_precision(model, images):
    def said(batch, of=model):
        choice = vd.engine_of(of, batch)
        return choice.name, choice.reason

    assert said(images.double()) == ("pytorch float64", "the images are float64, not float32")
    assert said(images[0]) == ("pytorch float32", "the images are not (n, 3, height, width)")
    assert said(images[:, :2]) == ("pytorch float32", "the images are not (n, 3, height, width)")
    assert said(nn.Parameter(images, requires_grad=False))[1] == "the images are a Parameter, no plain tensor"
    with torch.autocast("cpu", torch.bfloat16):
        assert said(images) == ("pytorch bfloat16", "PyTorch is told to compute in another way")
    assert said(images, torch.compile(model)) == ("pytorch float32", "the model was given to torch.compile")


@pytest.mark.parametrize("wrong", [np.zeros((1, 3, 32, 32), np.float32), [[1.0]]])
def test_images_that_are_no_tensor_are_refused(model, wrong):
    for call in (lambda: vd.engine_of(model, wrong), lambda: vd.features(model, wrong, "fc8", engine="pytorch")):
        with pytest.raises(ConfigError, match="images of a model of pytorch are a tensor, not") as refused:
            call()
        assert refused.value.code == "ENGINE-IMAGES"


def test_features_before_a_linear_layer_are_of_images_of_any_size(model):
    larger = torch.randn(1, 3, 75, 90, generator=torch.Generator().manual_seed(5))
    check(model, larger, "conv1_1", "relu3_2")
    with pytest.raises(ConfigError, match="takes images of"):
        vd.features(model, larger, "fc8")


def test_a_layer_that_is_not_there_is_refused_in_the_same_words(model, images):
    for engine in ("auto", "pytorch"):
        with pytest.raises(ConfigError, match="has no layer 'conv9_9'"):
            vd.features(model, images, "conv9_9", engine=engine)


def test_an_engine_goes_with_its_model(images):
    model = vd.build(net(NAME), weights=weights(NAME)).eval()
    vd.features(model, images, "relu1_1")
    before = len(of_model._kept)
    del model
    assert len(of_model._kept) == before - 1


def test_where_the_kernels_cannot_run_pytorch_does(model, images, monkeypatch):
    monkeypatch.setattr(library, "why_not", lambda: "the kernels were not compiled")
    assert vd.engine_of(model, images).reason == "the kernels were not compiled"
    expected = vd.features(model, images, "fc8", engine="pytorch")["fc8"]
    assert torch.equal(vd.features(model, images, "fc8")["fc8"], expected)


def test_a_replaced_linear_weight_is_seen_and_so_is_a_change_of_a_transposed_one(model, images):
    layer = model.get_submodule("head.fc7")
    check(model, images, "fc8")
    layer.weight = nn.Parameter(0.5 * layer.weight.detach())
    check(model, images, "fc8")
    layer.weight = nn.Parameter(layer.weight.detach().t().contiguous().t())
    check(model, images, "fc8")
    with torch.no_grad():
        layer.weight *= -1
    check(model, images, "fc8")
    layer.weight.data.neg_()  # which PyTorch does not count
    check(model, images, "fc8")


def test_a_linear_weight_of_which_rows_are_gone_is_refused(model, images):
    check(model, images, "fc8")
    layer = model.get_submodule("head.fc8")
    layer.weight.data = layer.weight.data[:-1]  # at the same place, in the same order
    with pytest.raises(WeightsError, match=r"fc8\.weight"):
        vd.features(model, images, "fc8")


def test_a_linear_weight_whose_memory_is_read_in_another_order_is_seen(images):
    network = vd.network("vgg11", input=(3, 32, 32), width=1 / 8, fc=(24, 24), classes=10)
    model = vd.build(network, backend="pytorch", seed=0).eval()
    batch = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(4))
    check(model, batch, "fc8")
    layer = model.get_submodule("head.fc7")
    layer.weight.data = layer.weight.data.t()  # a square one: the same memory, shape and numbers
    check(model, batch, "fc8")


def test_running_statistics_in_another_precision_stay_with_pytorch(model, images):
    norm = model.get_submodule("block1.bn1_1")
    norm.running_mean = norm.running_mean.double()
    choice = vd.engine_of(model, images)
    assert (choice.engine, choice.reason) == ("pytorch", "the model is not float32")


def test_it_says_which_engine_computes_and_with_which_instructions(model, images):
    assert vd.engine_of(model, images) == EngineInUse("verydeep", f"verydeep {library.active()} float32")
    assert vd.engine_of(model, images, engine="pytorch") == EngineInUse("pytorch", "pytorch float32")


def test_a_model_of_another_framework_stays_there_and_no_other_engine_is_taken_for_it(images):
    model = vd.build(net(NAME), weights=weights(NAME), backend="onnx")
    choice = vd.engine_of(model, images.numpy())
    assert choice == EngineInUse("onnx", "onnx", "it is a model of onnx; our kernels compute those of pytorch")
    assert vd.features(model, images.numpy(), "fc8")["fc8"].shape == (2, 10)
    with pytest.raises(ConfigError, match="the engine verydeep cannot compute a model of onnx") as refused:
        vd.features(model, images.numpy(), "fc8", engine="verydeep")
    assert refused.value.code == "ENGINE-UNAVAILABLE"
    with pytest.raises(ConfigError, match="there is no engine 'onnx'"):
        vd.engine_of(model, images.numpy(), engine="onnx")
