"""The Python face: exactly these names, each explained, light to import, and the example of the design runs."""

import inspect
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.models import vgg11

import verydeep as vd
from verydeep.errors import ConfigError

REPOSITORY = Path(__file__).parents[1]
NEVER_FAIL = ("table", "summary", "compare", "draw")  # on a Network, and a Network that exists is valid
QUOTED = ("vgg_block",)  # its one sentence is a text that every student knows
FUNCTIONS = [name for name in vd.__all__ if inspect.isfunction(getattr(vd, name))]


def fresh(script: str) -> str:
    """What a script prints in a Python of its own."""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_is_public_is_exactly_what_is_listed():
    assert dir(vd) == sorted(vd.__all__)
    assert len(set(vd.__all__)) == len(vd.__all__)
    ours = {
        name
        for name, value in vars(vd).items()
        if not name.startswith("_") and getattr(value, "__module__", "").startswith("verydeep")
    }
    assert ours <= set(vd.__all__)


@pytest.mark.parametrize("name", vd.__all__)
def test_every_public_name_is_there_and_says_what_it_is(name):
    first = (inspect.getdoc(getattr(vd, name)) or "").splitlines()[0]
    assert len(first.split()) > 2
    assert first[-1] in ".:"


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name not in (*NEVER_FAIL, *QUOTED)])
def test_every_function_that_can_fail_says_how(name):
    assert "Raises:" in (inspect.getdoc(getattr(vd, name)) or "")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_public_function_is_annotated(name):
    signature = inspect.signature(getattr(vd, name))
    assert signature.return_annotation is not inspect.Signature.empty
    assert all(one.annotation is not inspect.Parameter.empty for one in signature.parameters.values())


def test_no_name_is_hidden_by_a_module_of_the_package():
    script = """
import pkgutil, importlib, verydeep as vd
for found in pkgutil.walk_packages(vd.__path__, "verydeep."):
    if not found.name.rpartition(".")[2].startswith("_"):  # __main__; the kernels only look like one
        try:
            importlib.import_module(found.name)
        except ModuleNotFoundError as error:  # MXNet has an environment of its own, and ncnn is nobody's dependency
            assert error.name in ("mxnet", "ncnn"), found.name
print([name for name in vd.__all__ if type(getattr(vd, name)).__name__ == "module"])
"""
    assert fresh(script) == "[]\n"


def test_importing_the_package_loads_no_framework():
    script = "import sys, verydeep; print({'torch', 'numpy', 'tensorflow', 'PIL', 'sklearn'} & set(sys.modules))"
    assert fresh(script) == "set()\n"


def test_describing_a_network_loads_no_framework():
    script = """
import sys, verydeep as vd
net = vd.network("D", classes=10)
vd.table(net), vd.summary(net), vd.compare([net]), vd.draw(net), vd.code(net)
print({'torch', 'tensorflow', 'PIL', 'sklearn'} & set(sys.modules))
"""
    assert fresh(script) == "set()\n"


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'verydeep' has no attribute 'trian'"):
        vd.trian  # noqa: B018


def test_the_example_of_the_design_runs_as_it_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    net = vd.network("D", classes=10, width=1 / 16, fc=(16, 8))
    assert vd.summary(net).depth == 16

    net = vd.vgg(((1, 16), (1, 32), (2, 64)), input=(1, 28, 28), classes=10, fc=(32,))
    first = vd.table(net)[0]
    assert (first.block, first.name, first.kind, first.shape) == ("block1", "conv1_1", "Conv", (16, 28, 28))
    assert (first.params, first.macs, first.receptive_field, first.step) == (160, 160 * 784 - 16 * 784, 3, 1)

    model = vd.build(net, backend="pytorch", seed=0)
    assert isinstance(model, torch.nn.Module)
    assert model.training
    assert [name for name, _ in model.named_children()] == [block.name for block in net.blocks]
    weights = vd.get_weights(model)
    assert weights["conv1_1.weight"].shape == (16, 1, 3, 3)
    again = vd.build(net, seed=1)
    vd.set_weights(again, weights)
    images = torch.rand(2, 1, 28, 28)
    assert torch.equal(again.eval()(images), model.eval()(images))

    full = vd.build(vd.dense(net), backend="pytorch", weights=vd.dense_weights(net, weights)).eval()
    torch.testing.assert_close(full(images)[:, :, 0, 0], model(images))
    assert full(torch.rand(1, 1, 36, 44)).shape == (1, 10, 2, 3)

    taps = vd.features(model, images, ("relu3_2", "fc5"))
    assert {name: tuple(tap.shape) for name, tap in taps.items()} == {"relu3_2": (2, 64, 7, 7), "fc5": (2, 10)}
    assert torch.equal(vd.features(model, images, "fc5", engine="pytorch")["fc5"], model(images))
    torch.testing.assert_close(vd.features(model, images, "fc5")["fc5"], model(images))

    small = vd.vgg(((1, 4), (1, 8)), input=(1, 8, 8), classes=10, fc=())
    run = vd.train(small, "digits", epochs=1, workers=0, device="cpu")
    assert run.path == Path("run-001")
    assert "array" not in repr(run)
    found = vd.evaluate(run, "digits")
    assert found.to_json() == run.result["evaluation"]
    assert vd.evaluate("run-001").top1 == found.top1
    _write_digit(tmp_path / "digit.png")
    assert vd.predict(run, ["digit.png"]) == vd.predict("run-001", "digit.png")
    assert vd.resume(run.path, epochs=2).history[0] == run.history[0]


def _write_digit(path: Path) -> None:
    from PIL import Image

    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(path)


def test_weights_of_torchvision_are_loaded_from_a_file(tmp_path):
    theirs = vgg11(weights=None, num_classes=5, init_weights=False).eval()
    torch.save(theirs.state_dict(), tmp_path / "vgg11.pth")
    model = vd.build(vd.network("A", classes=5)).eval()
    assert vd.load_weights(model, tmp_path / "vgg11.pth", format="torchvision").format == "torchvision"
    images = torch.rand(1, 3, 224, 224)
    with torch.inference_mode():
        assert torch.equal(model(images), theirs(images))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"network": 3}, "a network or its name is wanted, not int"),
        ({"network": "Dd"}, "no network is called 'Dd'. Did you mean"),
        ({"network": "D", "net": "E"}, "the network is given, and also net"),
        ({"network": vd.network("A"), "width": 0.5}, "the network is given, and also width"),
        ({"network": vd.network("A"), "arch": "1x4", "fc": (3,)}, "the network is given, and also arch, fc"),
        ({"epoch": 3}, "there is no option 'epoch'. Did you mean epochs?"),
        ({"epochs": "many"}, "epochs is 'many': it should be a valid integer"),
        ({"recipe": "digit"}, "no recipe is called 'digit'. Did you mean digits?"),
        ({"data": "digts"}, "there is no data set 'digts'. Did you mean digits?"),
        ({"patience": 3, "val": 0}, "patience 3 needs validation images, and val is 0"),
    ],
)
def test_a_training_that_cannot_be_is_refused_before_anything_is_made(tmp_path, monkeypatch, given, said):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as refused:
        vd.train(**given)
    assert str(refused.value).startswith(said)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_change_of_a_run_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="is no run"):
        vd.resume(tmp_path / "nowhere", epochs=3)
    with pytest.raises(ConfigError, match="is no run"):
        vd.evaluate(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="is no run"):
        vd.predict(tmp_path / "nowhere", ["a.png"])


def test_an_unknown_backend_rule_or_layer_is_refused():
    net = vd.vgg(((1, 4),), input=(1, 8, 8), classes=3, fc=())
    for wrong in ({"backend": "tensorflow"}, {"init": "hee"}, {"layout": "sideways"}):
        with pytest.raises(ConfigError):
            vd.build(net, **wrong)
    with pytest.raises(ConfigError, match="vgg has no layer 'conv9_9'"):
        vd.features(vd.build(net), torch.zeros(1, 1, 8, 8), ("conv9_9",))


def test_a_model_from_elsewhere_is_refused():
    theirs = torch.nn.Linear(2, 2)
    for attempt in (
        lambda: vd.get_weights(theirs),
        lambda: vd.set_weights(theirs, {}),
        lambda: vd.load_weights(theirs, {}),
        lambda: vd.features(theirs, torch.zeros(1, 2), ("fc6",)),
    ):
        with pytest.raises(ConfigError, match="this Linear was not built from a network's description"):
            attempt()


def test_a_network_without_channels_is_refused():
    with pytest.raises(vd.VerydeepError, match="channels must be a whole number of at least 1, not 0"):
        vd.vgg(((1, 0),), input=(1, 8, 8))
