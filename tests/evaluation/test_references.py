"""WTS-15: a known file of weights is told to be right only when its network gives the stored logits."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.models import resnet18

from verydeep.errors import VerificationError, WeightsError
from verydeep.evaluation.references import REFERENCES, Reference, digest, image, is_verified
from verydeep.weights import imagenet
from verydeep.weights.importing import Imported, import_weights


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


def imported(file: Path) -> Imported:
    """What was read, with torchvision's preprocessing, which a ResNet's file leaves open."""
    return replace(import_weights(file), preprocessing=imagenet.MEAN_AND_DEVIATION)


def test_a_known_file_that_computes_what_it_should_is_verified(file, known):
    assert is_verified(file, imported(file), references={digest(file): known})


def test_what_was_replaced_after_reading_is_not_verified(file, known):
    references = {digest(file): known}
    assert not is_verified(file, import_weights(file, classes=4), references=references)
    assert not is_verified(file, import_weights(file), references=references)  # nobody knows its preprocessing


def test_an_unknown_file_is_not_verified(tmp_path, file, known):
    (tmp_path / "weights").write_bytes(b"anything")
    assert not is_verified(tmp_path / "weights", imported(file), references={"0" * 64: known})
    with pytest.raises(WeightsError, match="cannot be opened"):
        is_verified(tmp_path / "nowhere", imported(file))


def test_a_known_file_that_computes_something_else_is_an_error(file, known):
    wrong = Reference("torchvision", (*known.logits[:7], known.logits[7] + 0.01))
    with pytest.raises(VerificationError, match="known from torchvision, and here it is another network") as refused:
        is_verified(file, imported(file), references={digest(file): wrong})
    assert refused.value.exit_code == 8
    found = imported(file)
    kernel = found.weights["conv1.weight"][..., ::-1, ::-1].copy()  # one conversion step gone wrong
    turned = replace(found, weights=found.weights | {"conv1.weight": kernel})
    with pytest.raises(VerificationError, match="a logit differs by"):
        is_verified(file, turned, references={digest(file): known})


@pytest.mark.parametrize("change", [{"color": "BGR"}, {"mean": (0.0, 0.0, 0.0)}, {"resize": 224}])
def test_a_wrong_preprocessing_is_noticed_too(file, known, change):
    other = replace(imported(file), preprocessing=replace(imagenet.MEAN_AND_DEVIATION, **change))
    with pytest.raises(VerificationError):
        is_verified(file, other, references={digest(file): known})


def test_nothing_is_claimed_of_files_that_nobody_has_measured():
    assert all(len(key) == 64 and len(value.logits) > 3 for key, value in REFERENCES.items())
    assert np.unique(image().reshape(-1, 3), axis=0).shape[0] == 256 * 256
