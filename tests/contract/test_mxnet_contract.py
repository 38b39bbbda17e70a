"""MXNet keeps the contract of backends: every network of the catalogue and the odd ones, and mistakes are noticed."""

import json

from tests.in_mxnet import environment
from verydeep.backends.check import TOLERANCE
from verydeep.backends.odd_networks import ODD_NETWORKS
from verydeep.families.catalog import CATALOG
from verydeep.spec import BatchNorm, walk

NETWORKS = {**CATALOG, **{odd.name: lambda odd=odd: odd for odd in ODD_NETWORKS}}
NORMED = {name for name, make in NETWORKS.items() if any(isinstance(step.layer, BatchNorm) for step in walk(make()))}


def errors(precision: str) -> dict[tuple[str, str], float]:
    """The difference of the logits by network and mode; each was within the tolerance that the module states."""
    found = json.loads(environment.run("-m", "tests.in_mxnet.contract", precision))
    return {(agreement["network"], agreement["mode"]): agreement["error"] for agreement in found}


def test_mxnet_agrees_with_the_reference_on_every_network():
    found = errors("single")
    assert set(found) == {(name, mode) for name in NETWORKS for mode in ("eval", "train")}
    assert all(error > 0 for error in found.values())
    assert all(error <= TOLERANCE for (_, mode), error in found.items() if mode == "eval")
    # Batch norm's sums in train mode are less exact than PyTorch's; in double precision no more than rounding is left.
    assert {name for (name, _), error in found.items() if error > TOLERANCE} <= NORMED


def test_in_double_precision_networks_with_batch_norm_agree_to_twelve_digits():
    found = errors("double")
    assert set(found) == {(name, mode) for name in NORMED - {"vgg11_lrn_bn"} for mode in ("eval", "train")}
    assert all(0 < error <= 1e-12 for error in found.values())


def test_mistakes_that_mxnet_invites_are_noticed():
    print(environment.run_tests("test_sabotage.py"))
