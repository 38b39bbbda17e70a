"""The network that a student writes by hand is the one that is built from the description."""

import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from verydeep.backends import pytorch
from verydeep.backends.check import sample_weights
from verydeep.families.vgg import Arch, column, vgg
from verydeep.spec import Network, walk

SCRIPT = Path(__file__).parents[2] / "examples" / "01_vgg_by_hand.py"
BY_HAND: dict[str, Any] = runpy.run_path(str(SCRIPT))

THIN_11 = ((1, 8), (1, 16), (2, 32), (2, 64), (2, 64))
THIN_16 = ((2, 8), (2, 16), (3, 32), (3, 64), (3, 64))


def twins(arch: Arch) -> tuple[nn.Sequential, nn.Sequential, Network]:
    """By hand and built, with the same weights: both list them in the order of computation."""
    net = vgg(arch, input=(3, 64, 48), classes=10, fc=(96, 96))
    arrays = sample_weights(net)
    hand = BY_HAND["VGG"](arch, image=net.input, classes=10, hidden=96)
    with torch.no_grad():
        for parameter, array in zip(hand.parameters(), arrays.values(), strict=True):
            parameter.copy_(torch.from_numpy(array))
    return hand, pytorch.build(net, arrays), net


@pytest.mark.parametrize("arch", [THIN_11, THIN_16], ids=["VGG-11", "VGG-16"])
@pytest.mark.parametrize("mode", ["eval", "train"])
def test_logits_by_hand_equal_those_of_the_built_network_to_the_last_bit(arch: Arch, mode: str):
    hand, built, net = twins(arch)
    images = torch.from_numpy(np.random.default_rng(0).standard_normal((4, *net.input)).astype(np.float32))
    logits = []
    for model in (hand, built):
        model.train(mode == "train")
        torch.manual_seed(0)  # dropout draws the same numbers in both
        logits.append(model(images))
    assert torch.equal(*logits)
    assert logits[0].std() > 0.01


def test_both_have_the_same_names():
    hand, built, _ = twins(THIN_16)
    assert list(hand.state_dict()) == list(built.state_dict())
    assert [name for name, _ in hand.named_modules()] == [name for name, _ in built.named_modules()]


@pytest.mark.parametrize(("name", "letter"), [("VGG-11", "A"), ("VGG-16", "D")])
def test_the_archs_are_columns_a_and_d(name: str, letter: str):
    assert vgg(BY_HAND["ARCHS"][name]).blocks == column(letter).blocks


@pytest.fixture(scope="module")
def printed() -> list[str]:
    """What the file prints as a script, isolated from this project."""
    ran = subprocess.run([sys.executable, "-I", str(SCRIPT)], capture_output=True, text=True, check=True)
    assert ran.stderr == ""
    return ran.stdout.splitlines()


def test_run_as_a_script_it_prints_the_shape_after_each_block(printed: list[str]):
    shapes = [
        "block1  (1, 64, 112, 112)",
        "block2  (1, 128, 56, 56)",
        "block3  (1, 256, 28, 28)",
        "block4  (1, 512, 14, 14)",
        "block5  (1, 512, 7, 7)",
        "head    (1, 10)",
    ]
    title = "on a grey image of 224x224, ten classes"
    assert printed == [f"VGG-11 {title}", *shapes, f"VGG-16 {title}", *shapes]


def test_the_printed_shapes_are_the_inferred_ones(printed: list[str]):
    ends = {step.block: step.after.shape for step in walk(column("A", input=(1, 224, 224), classes=10))}
    assert printed[1:7] == [f"{block:<8}{(1, *shape)}" for block, shape in ends.items()]


def test_it_needs_nothing_but_pytorch():
    imports = [line for line in SCRIPT.read_text().splitlines() if line.startswith(("import ", "from "))]
    assert imports == ["import torch", "from torch import Tensor, nn"]
