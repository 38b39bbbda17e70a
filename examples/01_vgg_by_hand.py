"""VGG-11 and VGG-16 by hand in plain PyTorch (arXiv:1409.1556, Table 1), with the shape after each block.

The tests prove that its logits are those of `verydeep`'s network with the same weights, bit for bit.
"""

import torch
from torch import Tensor, nn

ARCHS = {  # (convolutions, channels) of the five blocks
    "VGG-11": ((1, 64), (1, 128), (2, 256), (2, 512), (2, 512)),
    "VGG-16": ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)),
}


def vgg_block(number: int, num_convs: int, channels_in: int, channels: int) -> nn.Sequential:
    """`num_convs` 3x3 convolutions that keep the size, then a 2x2 max-pool that halves it."""
    block = nn.Sequential()
    for index in range(1, num_convs + 1):
        block.add_module(f"conv{number}_{index}", nn.Conv2d(channels_in, channels, kernel_size=3, padding=1))
        block.add_module(f"relu{number}_{index}", nn.ReLU())
        channels_in = channels
    block.add_module(f"pool{number}", nn.MaxPool2d(kernel_size=2, stride=2))
    return block


class VGG(nn.Sequential):
    """The blocks of `arch`, then two hidden fully connected layers and one that gives a logit for each class."""

    def __init__(
        self,
        arch: tuple[tuple[int, int], ...],
        *,
        image: tuple[int, int, int] = (3, 224, 224),
        classes: int = 1000,
        hidden: int = 4096,
    ) -> None:
        super().__init__()
        channels_in, height, width = image
        for number, (num_convs, channels) in enumerate(arch, start=1):
            self.add_module(f"block{number}", vgg_block(number, num_convs, channels_in, channels))
            channels_in, height, width = channels, height // 2, width // 2
        self.head = nn.Sequential()
        self.head.add_module("flatten", nn.Flatten())
        features_in = channels_in * height * width
        for number in (6, 7):
            self.head.add_module(f"fc{number}", nn.Linear(features_in, hidden))
            self.head.add_module(f"relu{number}", nn.ReLU())
            self.head.add_module(f"drop{number}", nn.Dropout(0.5))
            features_in = hidden
        self.head.add_module("fc8", nn.Linear(features_in, classes))


def print_shapes(model: nn.Sequential, x: Tensor) -> None:
    """One line for each block: its name and the shape of what leaves it."""
    for name, block in model.named_children():
        x = block(x)
        print(f"{name:<8}{tuple(x.shape)}")


if __name__ == "__main__":
    for name, arch in ARCHS.items():
        print(f"{name} on a grey image of 224x224, ten classes")
        with torch.device("meta"):  # shapes without numbers: no memory, no time
            print_shapes(VGG(arch, image=(1, 224, 224), classes=10), torch.empty(1, 1, 224, 224))
