"""`verydeep import`: from a file of weights to a model that predict, evaluate and show take."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import save_file
from torchvision.models import ResNet, resnet18

from verydeep.data.preprocess import apply
from verydeep.evaluation import references
from verydeep.families.catalog import network
from verydeep.preprocessing import Preprocessing
from verydeep.run import open_run
from verydeep.weights import canonical
from verydeep.weights.initial import initial

AS_TORCHVISION = ("--preprocessing", "torchvision")  # of which no file of a ResNet tells


@pytest.fixture(scope="session")
def known(tmp_path_factory) -> tuple[ResNet, Path]:
    """torchvision's smallest ResNet for ten classes, and its file."""
    torch.manual_seed(0)
    model = resnet18(num_classes=10).eval()
    path = tmp_path_factory.mktemp("weights") / "resnet18.pth"
    torch.save(model.state_dict(), path)
    return model, path


@pytest.fixture(scope="session")
def nameless(tmp_path_factory) -> Path:
    """Plain arrays by canonical names, of which nobody knows for which images they are."""
    path = tmp_path_factory.mktemp("weights") / "lenet.safetensors"
    save_file(initial(network("lenet5"), seed=0), path)
    return path


def test_weights_of_torchvision_become_a_model_that_sees_what_torchvision_sees(verydeep, known, in_an_empty_folder):
    theirs, file = known
    names = [f"kind {number}" for number in range(10)]
    (in_an_empty_folder / "names.txt").write_text("\n".join(names))
    done = verydeep("import", file, *AS_TORCHVISION, "--classes", "names.txt")
    assert done.code == 0, done.err
    for text in (
        "format     torchvision",
        "network    resnet18, ",
        "colours    RGB, 0 to 255",
        "mean       123.675, 116.28, 103.53",
        "deviation  58.395, 57.12, 57.375",
        "resize     smaller side to 256 pixels, bilinear",
        "crop       center, 224x224",
        "classes    10: kind 0, kind 1, kind 2, kind 3, kind 4, ...",
        "check      unverified",
        "model      resnet18.safetensors",
    ):
        assert text in done.out
    Image.fromarray(references.image()).save("image.png")
    found = json.loads(verydeep("predict", "resnet18.safetensors", "image.png", "--format", "json").out)
    pixels = torch.from_numpy(references.image()[16:240, 16:240]).permute(2, 0, 1).float()
    with torch.inference_mode():
        logits = theirs(((pixels - _axis(123.675, 116.28, 103.53)) / _axis(58.395, 57.12, 57.375))[None])[0]
    best = logits.softmax(0).sort(descending=True)
    seen = found["predictions"][0]["classes"]
    assert [one["class"] for one in seen] == [names[i] for i in best.indices[:5]]
    np.testing.assert_allclose([one["confidence"] for one in seen], best.values[:5], rtol=1e-4)


def _axis(*values: float) -> torch.Tensor:
    return torch.tensor(values)[:, None, None]


def test_json_has_all_that_was_found(verydeep, known, in_an_empty_folder):
    told = json.loads(
        verydeep("import", known[1], *AS_TORCHVISION, "--format", "json", "--out", "mine.safetensors").out
    )
    assert (told["format"], told["network"], told["classes"], told["verified"]) == (
        "torchvision",
        "resnet18",
        [],
        False,
    )
    assert told["model"] == "mine.safetensors"
    model = canonical.load(in_an_empty_folder / "mine.safetensors")
    assert model.preprocessing == told["preprocessing"]
    assert model.extra == {"imported": {"file": "resnet18.pth", "format": "torchvision"}}


@pytest.fixture
def stated(verydeep, known, in_an_empty_folder) -> Path:
    """A model of ours, whose record states the preprocessing."""
    assert verydeep("import", known[1], *AS_TORCHVISION, "--out", "stated.safetensors").code == 0
    return in_an_empty_folder / "stated.safetensors"


def test_a_known_file_is_verified_and_one_that_is_read_wrongly_becomes_no_model(verydeep, refused, stated, monkeypatch):
    model = open_run(stated)
    with torch.inference_mode():
        logits = model.model()(apply(references.image(), model.preprocessing)[None])[0].tolist()
    right = {references.digest(stated): references.Reference("torchvision 0.0", tuple(logits))}
    monkeypatch.setattr(references.is_verified, "__kwdefaults__", {"references": right})
    assert "check      verified: matches reference" in verydeep("import", stated).out
    for number, changed in enumerate((("--num-classes", 4), ("--preprocessing", "caffe"))):
        done = verydeep("import", stated, *changed, "--out", f"{number}.safetensors")
        assert "check      unverified" in done.out
    wrong = {references.digest(stated): references.Reference("torchvision 0.0", (1.0, 2.0, 3.0))}
    monkeypatch.setattr(references.is_verified, "__kwdefaults__", {"references": wrong})
    assert "known from torchvision 0.0" in refused("import", stated, "--out", "new.safetensors", code=8)
    assert not Path("new.safetensors").exists()


@pytest.mark.parametrize(
    ("name", "file"),
    [("../evil", "evil"), ("/etc/evil", "etc_evil"), (".hidden", "hidden"), ("-rf", "rf"), ("\u202e\n", "model")],
)
def test_the_default_name_lies_here_whatever_a_stranger_called_the_network(name, file, verydeep, in_an_empty_folder):
    net = replace(network("lenet5"), name=name)
    record = Preprocessing(1, net.input[1:], None, "center", (0.0,), (255.0,), "grey")
    (in_an_empty_folder / "in").mkdir()
    crafted = in_an_empty_folder / "in" / "crafted"
    canonical.save(crafted, network=net, weights=initial(net, seed=0), preprocessing=record.to_json())
    assert verydeep("import", crafted).code == 0
    assert (in_an_empty_folder / f"{file}.safetensors").is_file()


def test_a_link_that_leads_nowhere_is_taken_too(refused, known, in_an_empty_folder):
    (in_an_empty_folder / "resnet18.safetensors").symlink_to("nowhere")
    assert "is there already" in refused("import", known[1], *AS_TORCHVISION)


def test_a_new_head_is_made_when_it_is_asked_for_and_told(verydeep, known):
    done = verydeep("import", known[1], *AS_TORCHVISION, "--num-classes", 4)
    assert "classes    4, names unknown" in done.out
    assert "note       fc is new, drawn with seed 0: 4 classes instead of 10" in done.out


def test_nothing_is_guessed_of_images_that_nobody_knows(verydeep, refused, nameless, known):
    for file in (nameless, known[1]):
        assert "nothing tells how images become the input of these weights" in refused("import", file)
    grey = {"channels": 1, "size": [28, 28], "resize": None, "crop": "center", "mean": [0.0], "std": [255.0]}
    Path("grey.json").write_text(json.dumps(grey | {"color": "grey", "interpolation": "bilinear"}))
    assert verydeep("import", nameless, "--preprocessing", "grey.json").code == 0
    assert canonical.load(Path("lenet5.safetensors")).preprocessing == json.loads(Path("grey.json").read_text())
    line = refused("import", nameless, "--preprocessing", "caffe", "--out", "b.safetensors")
    assert "makes 3 channels of 28x28" in line


def test_a_model_of_ours_is_completed(verydeep, known, in_an_empty_folder):
    assert verydeep("import", known[1], *AS_TORCHVISION).code == 0
    (in_an_empty_folder / "names.txt").write_text("\n".join("abcdefghij"))
    done = verydeep("import", "resnet18.safetensors", "--classes", "names.txt", "--out", "named.safetensors")
    assert "classes    10: a, b, c, d, e, ..." in done.out
    assert canonical.load(in_an_empty_folder / "named.safetensors").classes == tuple("abcdefghij")


def test_the_network_can_be_a_name_or_a_file(verydeep, refused, known, in_an_empty_folder):
    assert verydeep("show", "resnet18", "--classes", 10, "--format", "spec", "--out", "net.json").code == 0
    assert verydeep("import", known[1], *AS_TORCHVISION, "--net", "net.json").code == 0
    line = refused("import", known[1], *AS_TORCHVISION, "--net", "resnet34", "--out", "a.safetensors", code=4)
    assert "not those of resnet34" in line
    assert "no network is called 'vgg61'" in refused(
        "import", known[1], *AS_TORCHVISION, "--net", "vgg61", "--out", "a.safetensors"
    )


def test_what_cannot_be_imported_is_refused_and_nothing_is_written(refused, known, in_an_empty_folder, tmp_path):
    evil = tmp_path / "evil.pth"
    torch.save({"model": resnet18, "x": torch.zeros(3)}, evil)
    assert "error[WEIGHTS-CODE]" in refused("import", evil, code=4)
    assert "error[WEIGHTS-UNREADABLE]" in refused("import", "nowhere.pth", code=4)
    (in_an_empty_folder / "taken.safetensors").touch()
    assert "taken.safetensors is there already" in refused(
        "import", known[1], *AS_TORCHVISION, "--out", "taken.safetensors"
    )


def test_the_help_says_what_verified_means(verydeep):
    text = " ".join(verydeep("import", "--help").out.split())
    assert '"verified: matches reference" means that the file is known by its SHA-256' in text
