"""Which kernels a GPU computes with: their precision, how cuDNN chooses them, and those that torch.compile makes."""

import torch
from torch import nn

from verydeep.settings.config import Config


def choose_kernels(config: Config) -> None:
    """Set what PyTorch keeps for the whole process.

    float32 means float32 on GPUs too: PyTorch's default for convolutions there is TF32, with 10-bit mantissas.
    """
    torch.backends.cudnn.allow_tf32 = config.precision == "tf32"
    torch.backends.cuda.matmul.allow_tf32 = config.precision == "tf32"
    torch.backends.cudnn.benchmark = config.algorithms == "fastest"


def compiled(model: nn.Module, config: Config) -> nn.Module:
    """`model` as the loop calls it: itself, or compiled when it is called first, anew for each size of batch.

    The parameters stay those of `model`. "reduce-overhead" and "max-autotune" replay CUDA graphs on a GPU: one launch
    instead of hundreds, which is most of the time of a small network.
    """
    if config.compile == "off":
        return model
    return torch.compile(model, mode=config.compile, dynamic=False)  # type: ignore[return-value]
