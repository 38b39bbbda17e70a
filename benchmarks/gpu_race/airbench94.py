"""The published recipe for 94 % on CIFAR-10 in plain PyTorch, which our `cifar-sprint` is raced against.

K. Jordan, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU", arXiv:2404.00498. Numbers and order of work are those of
the author's `legacy/airbench94_compiled.py` (github.com/KellerJordan/cifar10-airbench, MIT licence, copyright 2024
Keller Jordan); the code is ours. Nothing here comes from verydeep, so that neither side helps the other.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)  # of CIFAR-10's pixels in [0, 1]


@dataclass(frozen=True, slots=True)
class Recipe:
    """The published numbers; a test takes smaller ones."""

    activation: Literal["gelu", "relu"] = "gelu"
    widths: tuple[int, int, int] = (64, 256, 256)
    epochs: float = 9.9
    batch: int = 1024
    lr: float = 11.5  # per 1,024 images, what momentum adds to a step taken off
    momentum: float = 0.85
    weight_decay: float = 0.0153  # per 1,024 images, whatever the rate
    bias_scaler: float = 64.0  # on the rate of batch norm's biases
    label_smoothing: float = 0.2
    whiten_bias_epochs: int = 3
    whiten_images: int = 5000
    translate: int = 2
    logit_scale: float = 1 / 9
    norm_momentum: float = 0.6  # share of the running statistics that stays
    dtype: torch.dtype = torch.float16  # of weights and maps; batch norm's own arrays are float32

    @property
    def kilostep(self) -> float:
        """1,024 images times what Nesterov momentum multiplies a constant gradient by."""
        return 1024 * (1 + 1 / (1 - self.momentum))


class Group(nn.Module):
    """Convolution, pool, norm, activation; convolution, norm, activation."""

    def __init__(self, inputs: int, outputs: int, recipe: Recipe) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm1, self.norm2 = (
            nn.BatchNorm2d(outputs, eps=1e-12, momentum=1 - recipe.norm_momentum) for _ in range(2)
        )
        self.activation = nn.GELU() if recipe.activation == "gelu" else nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) to (n, c', h // 2, w // 2)."""
        x = self.activation(self.norm1(functional.max_pool2d(self.conv1(x), 2)))
        return self.activation(self.norm2(self.conv2(x)))


class CifarNet(nn.Module):
    """The whitening convolution, three groups, a pool over what is left, one linear layer."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.whiten = nn.Conv2d(3, 24, 2)
        self.activation = nn.GELU() if recipe.activation == "gelu" else nn.ReLU()
        inputs = (24, *recipe.widths[:-1])
        self.groups = nn.Sequential(*(Group(i, o, recipe) for i, o in zip(inputs, recipe.widths, strict=True)))
        self.head = nn.Linear(recipe.widths[-1], 10, bias=False)
        self.logit_scale = recipe.logit_scale

    def forward(self, x: Tensor, learn_whiten_bias: bool = True) -> Tensor:
        """(n, 3, 32, 32) to (n, 10); without learning, no gradient reaches the first layer."""
        bias = self.whiten.bias
        assert bias is not None
        x = functional.conv2d(x, self.whiten.weight, bias if learn_whiten_bias else bias.detach())
        x = functional.max_pool2d(self.groups(self.activation(x)), 3)
        return self.head(x.flatten(1)) * self.logit_scale


def network(recipe: Recipe, device: torch.device) -> CifarNet:
    """The network in the recipe's precision, channels last; kernels of `whiten` and batch norm's scales stay."""
    model = CifarNet(recipe).to(device, recipe.dtype)
    model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    model.whiten.weight.requires_grad_(False)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            if recipe.dtype != torch.float64:
                module.float()
            module.weight.requires_grad_(False)
    return model


@torch.no_grad()
def reset(model: CifarNet) -> None:
    """First weights: identity in every convolution as far as its outputs go, the rest as PyTorch draws it."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear | nn.BatchNorm2d):
            module.reset_parameters()
        if isinstance(module, nn.Conv2d):
            nn.init.dirac_(module.weight[: module.weight.shape[1]])
    assert model.whiten.bias is not None
    model.whiten.bias.zero_()


@torch.no_grad()
def whiten(model: CifarNet, images: Tensor, *, epsilon: float = 5e-4) -> None:
    """Give the first layer the principal 2x2 patches of normalised images, each divided by its deviation."""
    patches = functional.unfold(images.float(), 2).transpose(1, 2).flatten(0, 1)
    values, vectors = torch.linalg.eigh(patches.T @ patches / len(patches))
    kernels = (vectors / (values + epsilon).sqrt()).T.flip(0).reshape(-1, 3, 2, 2)
    model.whiten.weight.copy_(torch.cat((kernels, -kernels)))


class Training:
    """A network in training: the optimiser, its triangular schedule, and the slow average."""

    def __init__(self, model: CifarNet, called: nn.Module, recipe: Recipe, *, steps: int) -> None:
        """`called` is `model` or what torch.compile made of it."""
        self.model, self.called, self.recipe, self.steps, self.step_number = model, called, recipe, steps, 0
        lr = recipe.lr / recipe.kilostep
        decay = recipe.weight_decay * recipe.batch / recipe.kilostep
        norms = [p for n, p in model.named_parameters() if "norm" in n and p.requires_grad]
        others = [p for n, p in model.named_parameters() if "norm" not in n and p.requires_grad]
        fast = lr * recipe.bias_scaler
        groups = [
            {"params": norms, "lr": fast, "first": fast, "weight_decay": decay / fast},
            {"params": others, "lr": lr, "first": lr, "weight_decay": decay / lr},
        ]
        self.optimizer = torch.optim.SGD(groups, lr=lr, momentum=recipe.momentum, nesterov=True)
        self.slow = {name: tensor.clone() for name, tensor in model.state_dict().items()}

    def share(self) -> float:
        """Of the highest rate, at the present step: from 0.2 up to 1, then down to 0.07."""
        rise = int(self.steps * 0.23)
        if self.step_number < rise:
            return 0.2 + 0.8 * self.step_number / rise
        return 1 - 0.93 * (self.step_number - rise) / (self.steps - rise)

    def step(self, images: Tensor, labels: Tensor, *, learn_whiten_bias: bool = True) -> None:
        """One step on the summed loss of a batch."""
        for group in self.optimizer.param_groups:
            group["lr"] = group["first"] * self.share()
        logits = self.called(images, learn_whiten_bias)
        self.optimizer.zero_grad(set_to_none=True)
        functional.cross_entropy(
            logits, labels, reduction="sum", label_smoothing=self.recipe.label_smoothing
        ).backward()
        self.optimizer.step()
        self.step_number += 1
        if self.step_number % 5 == 0:
            self._pull(0.95**5 * (self.step_number / self.steps) ** 3)
        if self.step_number == self.steps:
            self._pull(1.0)

    @torch.no_grad()
    def _pull(self, kept: float) -> None:
        for slow, fast in zip(self.slow.values(), self.model.state_dict().values(), strict=True):
            if fast.is_floating_point():
                slow.lerp_(fast, 1 - kept)
                fast.copy_(slow)


class Images:
    """Training images on the device: mirrored half at random, then all the other way in every second epoch."""

    def __init__(self, images: Tensor, labels: Tensor, recipe: Recipe) -> None:
        """`images` are normalised, of the recipe's precision."""
        self.labels, self.recipe, self.epoch = labels, recipe, 0
        half = (torch.rand(len(images), device=images.device) < 0.5)[:, None, None, None]
        turned, pad = torch.where(half, images.flip(-1), images), recipe.translate
        self.padded = functional.pad(turned, (pad,) * 4, "reflect")
        self.size = images.shape[-1]

    def __len__(self) -> int:
        """Whole batches of an epoch; the rest is left out."""
        return len(self.labels) // self.recipe.batch

    def batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """The next epoch."""
        images = self._moved()
        images = images.flip(-1) if self.epoch % 2 else images
        self.epoch += 1
        order = torch.randperm(len(images), device=images.device)
        for number in range(len(self)):
            chosen = order[number * self.recipe.batch : (number + 1) * self.recipe.batch]
            yield images[chosen], self.labels[chosen]

    def _moved(self) -> Tensor:
        """Each image moved by up to `translate` pixels: one masked copy for each of the places."""
        reach, size = 2 * self.recipe.translate + 1, self.size
        place = torch.randint(reach, (len(self.padded), 2), device=self.padded.device)
        moved = torch.empty_like(self.padded[:, :, :size, :size])
        for top in range(reach):
            for left in range(reach):
                mask = (place[:, 0] == top) & (place[:, 1] == left)
                moved[mask] = self.padded[mask, :, top : top + size, left : left + size]
        return moved


def normalised(pixels: Tensor, recipe: Recipe) -> Tensor:
    """uint8 (n, 3, h, w) as the numbers that the network reads, channels last."""
    mean, std = (torch.tensor(x, device=pixels.device)[None, :, None, None] for x in (MEAN, STD))
    values = (pixels.float() / 255 - mean) / std
    return values.to(recipe.dtype).contiguous(memory_format=torch.channels_last)


def train(model: CifarNet, called: nn.Module, pixels: Tensor, labels: Tensor, *, recipe: Recipe) -> None:
    """From first weights to the last step; what PyTorch draws follows its global seed."""
    model.train()
    reset(model)
    images = normalised(pixels, recipe)
    whiten(model, images[: recipe.whiten_images])
    shown = Images(images, labels, recipe)
    training = Training(model, called, recipe, steps=ceil(len(shown) * recipe.epochs))
    for epoch in range(ceil(recipe.epochs)):
        for batch, answers in shown.batches():
            training.step(batch, answers, learn_whiten_bias=epoch < recipe.whiten_bias_epochs)
            if training.step_number == training.steps:
                return
