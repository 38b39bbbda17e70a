"""LeNet-5 with its activations (LeCun, Bottou, Bengio & Haffner, Proceedings of the IEEE 86(11), 1998)."""

from verydeep.families.width import scaled
from verydeep.spec import Block, Flatten, Linear, Network, Shape, Tanh, conv, pool

SOURCE = "LeCun, Bottou, Bengio & Haffner, Proceedings of the IEEE 86(11), 1998"


def lenet5(*, input: Shape = (1, 28, 28), classes: int = 10, width: float = 1.0) -> Network:
    """LeNet-5 for 28x28 digits: the padding of conv1 stands for the 32x32 frame of the paper.

    Pools are plain means and C3 reads all six maps, as every later port has it; 61,706 parameters.
    """
    first = (conv("conv1", scaled(6, width), kernel=5, padding=2), Tanh("tanh1"))
    second = (conv("conv2", scaled(16, width), kernel=5), Tanh("tanh2"))
    return Network(
        "lenet5",
        input,
        (
            Block("block1", (*first, pool("pool1", "average", kernel=2, stride=2))),
            Block("block2", (*second, pool("pool2", "average", kernel=2, stride=2))),
            Block(
                "head",
                (
                    Flatten("flatten"),
                    *(Linear("fc3", 120), Tanh("tanh3")),
                    *(Linear("fc4", 84), Tanh("tanh4")),
                    Linear("fc5", classes),
                ),
            ),
        ),
        source=SOURCE,
    )
