"""The first layer's kernels whiten the patches of real training images; NumPy in double precision is the truth."""

import numpy as np
import pytest
import torch

from verydeep.data import catalog
from verydeep.data.split import MemorySplit
from verydeep.errors import ConfigError
from verydeep.families.airbench import airbench94_relu
from verydeep.families.catalog import network
from verydeep.preprocessing import Preprocessing
from verydeep.processes import Processes
from verydeep.settings.recipes import recipe
from verydeep.training.prepare import first_arrays, prepare
from verydeep.training.whiten import EPSILON, kernels_of, second_moment, whitening, whitening_kernels

CPU = torch.device("cpu")
GREY = Preprocessing(1, (8, 8), 8, "center", (78.0,), (96.0,), "grey")


@pytest.fixture(scope="module")
def digits() -> MemorySplit:
    found = catalog.load("digits", split="train")
    assert isinstance(found, MemorySplit)
    return found


def _patches(digits: MemorySplit) -> np.ndarray:
    """All 2x2 patches, float64 [patches, 4], by a loop that a reader can check."""
    images = (digits.images[:, 0].astype(np.float64) - 78) / 96
    corners = [(row, column) for row in range(7) for column in range(7)]
    return np.concatenate([images[:, r : r + 2, c : c + 2].reshape(len(images), 4) for r, c in corners])


def test_the_second_moment_is_that_of_all_patches(digits: MemorySplit):
    patches = _patches(digits)
    images = torch.from_numpy((digits.images.astype(np.float64) - 78) / 96)
    found = second_moment((images[:700], images[700:]), (2, 2))
    np.testing.assert_allclose(found.numpy(), patches.T @ patches / len(patches), rtol=1e-10)


def test_whitened_patches_are_uncorrelated_and_of_variance_one(digits: MemorySplit):
    patches = _patches(digits)
    moment = torch.from_numpy(patches.T @ patches / len(patches))
    kernels = kernels_of(moment, shape=(1, 2, 2), epsilon=0.0)
    seen = patches @ kernels[:4].reshape(4, 4).astype(np.float64).T
    np.testing.assert_allclose(seen.T @ seen / len(seen), np.eye(4), atol=1e-4)


def test_the_kernels_of_a_data_set_are_the_principal_patches_and_their_negatives(digits: MemorySplit):
    patches = _patches(digits)
    kernels = whitening_kernels(digits, preprocessing=GREY, kernel=(2, 2), device=CPU)
    assert kernels.shape == (8, 1, 2, 2)
    assert np.array_equal(kernels[4:], -kernels[:4])
    variances = np.linalg.eigvalsh(patches.T @ patches / len(patches))[::-1]
    seen = patches @ kernels[:4].reshape(4, 4).astype(np.float64).T
    np.testing.assert_allclose(seen.T @ seen / len(seen), np.diag(variances / (variances + EPSILON)), atol=1e-4)


def test_a_run_with_whitening_begins_with_these_kernels_and_never_changes_them(tmp_path):
    from tests.training.tiny import Recorder
    from verydeep.training.session import train

    changes = {"data": "digits", "width": 0.0625, "epochs": 1, "batch": 200, "flip": False, "turns": "random"}
    config = recipe("cifar-sprint").updated(**changes, pad=1, size=25, precision="float32", lr=0.01)
    prepared = prepare(config, Processes(CPU))
    first = first_arrays(prepared)
    assert np.array_equal(
        first["conv1.weight"],
        whitening_kernels(prepared.train, preprocessing=prepared.preprocessing, kernel=(2, 2), device=CPU),
    )
    run = train(config, out=tmp_path / "run", display=Recorder())
    norms = [name for name in first if name.startswith("bn") and name.endswith(".weight")]
    for name in ("conv1.weight", *norms):
        assert np.array_equal(run.weights[name], first[name]), name
    for name in ("conv1.bias", "conv2_1.weight", "bn2_1.bias", "fc5.weight"):
        assert not np.array_equal(run.weights[name], first[name]), name


def test_the_last_layer_begins_with_its_share_of_the_scale():
    config = recipe("cifar-sprint").updated(data="digits", width=0.0625, size=25, flip=False, turns="random")
    scaled = first_arrays(prepare(config, Processes(CPU)))
    whole = first_arrays(prepare(config.updated(logit_scale=1.0), Processes(CPU)))
    np.testing.assert_allclose(scaled["fc5.weight"], whole["fc5.weight"] / 9, rtol=1e-6)
    assert all(np.array_equal(scaled[name], whole[name]) for name in scaled if name != "fc5.weight")


def test_the_network_made_for_it_has_the_channels_that_it_needs():
    assert whitening(airbench94_relu()).name == "conv1"
    assert whitening(airbench94_relu(input=(1, 28, 28))).kernel == (2, 2)


@pytest.mark.parametrize("name", ["vgg11_bn", "lenet5"])
def test_a_network_whose_first_layer_cannot_whiten_is_refused(name: str):
    with pytest.raises(ConfigError, match=r"conv1.* needs ") as caught:
        whitening(network(name))
    assert caught.value.code == "WHITEN"
