"""PyTorch keeps the contract of backends: every network of the catalogue and the odd ones, in both layouts."""

import pytest
import torch

from tests.contract.pytorch_backend import PyTorch
from verydeep.backends import pytorch
from verydeep.backends.check import TOLERANCE, check_backend
from verydeep.backends.odd_networks import ODD_NETWORKS
from verydeep.families.catalog import CATALOG
from verydeep.spec_json import KINDS

EVERY_NETWORK = (*CATALOG, *(odd.name for odd in ODD_NETWORKS))


@pytest.mark.parametrize(
    ("layout", "precision", "tolerance"),
    [
        ("channels_first", torch.float32, TOLERANCE),
        # PyTorch's float32 sums for batch norm are less exact with channels last; its double ones show that no more
        # than rounding differs.
        ("channels_last", torch.float32, 1e-4),
        ("channels_last", torch.float64, 1e-11),
    ],
)
def test_pytorch_agrees_with_the_reference_on_every_network(
    layout: pytorch.Layout, precision: torch.dtype, tolerance: float
):
    agreements = check_backend(PyTorch(layout, precision), tolerance=tolerance)
    checked = {(agreement.network, agreement.mode) for agreement in agreements}
    assert checked == {(name, mode) for name in EVERY_NETWORK for mode in ("train", "eval")}
    assert all(0 < agreement.error <= tolerance for agreement in agreements)


def test_every_kind_of_layer_but_dropout_is_in_an_odd_network():
    def kinds(layers: tuple[object, ...]) -> set[str]:
        inner = (path for layer in layers for path in getattr(layer, "paths", ()))
        return {type(layer).__name__ for layer in layers}.union(*(kinds(path) for path in inner))

    found = set().union(*(kinds(block.layers) for odd in ODD_NETWORKS for block in odd.blocks))
    assert found == set(KINDS) - {"Dropout"}  # random numbers cannot be held to a reference
