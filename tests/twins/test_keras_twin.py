"""Twenty steps of SGD in Keras follow PyTorch's losses, whatever Keras runs on."""

import json

import pytest

from tests.in_keras import process
from tests.in_keras.process import ENGINES, Engine
from tests.twins import curve


@pytest.fixture(scope="module")
def reference() -> list[float]:
    return curve.pytorch_losses()


@pytest.mark.parametrize("engine", ENGINES)
def test_keras_follows_the_losses_of_pytorch(engine: Engine, reference: list[float]):
    found = json.loads(process.run("-m", "tests.in_keras.losses", engine=engine))
    assert abs(found[-1] - found[0]) > 0.01 * found[0]  # it has moved at all
    assert curve.largest_difference(found, reference) <= curve.TOLERANCE
    print(engine, curve.largest_difference(found, reference))
