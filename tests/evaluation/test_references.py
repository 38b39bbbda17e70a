"""WTS-15: a known file of weights is told to be right only when its network gives the stored logits."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.models import resnet18

from verydeep.errors import VerificationError, WeightsError
from verydeep.evaluation import references
from verydeep.evaluation.references import REFERENCES, Reference, digest, image, is_verified
from verydeep.weights import importing


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    """Weights that torchvision wrote."""
    torch.manual_seed(15)
    model = resnet18(num_classes=20)
    path = tmp_path_factory.mktemp("known") / "resnet18.pth"
    torch.save(model.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def known(file: Path) -> Reference:
    """What torchvision itself computes for the image, by its own preprocessing."""
    model = resnet18(num_classes=20).eval()
    model.load_state_dict(torch.load(file, weights_only=True))
    pixels = torch.from_numpy(image()[16:240, 16:240]).permute(2, 0, 1).float() / 255
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    with torch.inference_mode():
        logits = model(((pixels - mean[:, None, None]) / std[:, None, None])[None])[0]
    return Reference("torchvision", tuple(logits[:8].tolist()))


def test_a_known_file_that_computes_what_it_should_is_verified(file, known):
    assert is_verified(file, references={digest(file): known})


def test_an_unknown_file_is_not_verified_and_not_even_read(tmp_path, known):
    (tmp_path / "weights").write_bytes(b"anything")
    assert not is_verified(tmp_path / "weights", references={"0" * 64: known})
    with pytest.raises(WeightsError, match="cannot be opened"):
        is_verified(tmp_path / "nowhere")


def test_a_known_file_that_computes_something_else_is_an_error(file, known, monkeypatch):
    wrong = Reference("torchvision", (*known.logits[:7], known.logits[7] + 0.01))
    with pytest.raises(VerificationError, match="known from torchvision, and here it is another network") as refused:
        is_verified(file, references={digest(file): wrong})
    assert refused.value.exit_code == 8

    def turned(path):
        """One conversion step gone wrong: kernels turned by 180 degrees in the first layer."""
        found = importing.import_weights(path)
        kernel = found.weights["conv1.weight"][..., ::-1, ::-1].copy()
        return replace(found, weights=found.weights | {"conv1.weight": kernel})

    monkeypatch.setattr(references, "import_weights", turned)
    with pytest.raises(VerificationError, match="a logit differs by"):
        is_verified(file, references={digest(file): known})


@pytest.mark.parametrize("change", [{"color": "BGR"}, {"mean": (0.0, 0.0, 0.0)}, {"resize": 224}])
def test_a_wrong_preprocessing_is_noticed_too(file, known, monkeypatch, change):
    def other(path):
        found = importing.import_weights(path)
        assert found.preprocessing is not None
        return replace(found, preprocessing=replace(found.preprocessing, **change))

    monkeypatch.setattr(references, "import_weights", other)
    with pytest.raises(VerificationError):
        is_verified(file, references={digest(file): known})


def test_nothing_is_claimed_of_files_that_nobody_has_measured():
    assert all(len(key) == 64 and len(value.logits) > 3 for key, value in REFERENCES.items())
    assert np.unique(image().reshape(-1, 3), axis=0).shape[0] == 256 * 256
