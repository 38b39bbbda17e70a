"""The meaning of each step in PyTorch: what runs where no kernel takes a step, on the same memory."""

from typing import Any, assert_never

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from verydeep.backends.pytorch import UnevenPool2d, WholeMapPool
from verydeep.engine.forms import Form, Forms
from verydeep.engine.library import BFLOAT16, INT8
from verydeep.engine.plan import Step
from verydeep.spec import LRN, Conv, Linear, Pool


def compute(step: Step, reads: tuple[Tensor, ...], forms: Forms, *, added: Tensor | None, threads: int) -> Tensor:
    """What the step writes, from maps (n, c, h, w) that it reads."""
    with torch.no_grad():
        y = _compute(step, reads, forms, threads=threads)
        if added is not None:
            y = y + added
        if step.relu:
            y = functional.relu(y)
        return y if step.pool is None else UnevenPool2d(step.pool)(y)


def as_tensor(array: npt.NDArray[Any]) -> Tensor:
    """The array as a tensor; a copy if it is read-only, as those of a mapped file are and no tensor can be."""
    return torch.from_numpy(array if array.flags.writeable else array.copy())


def _compute(step: Step, reads: tuple[Tensor, ...], forms: Forms, *, threads: int) -> Tensor:
    x, layer = reads[0], step.layers[0] if step.layers else None
    match step.kernel:
        case "convolution":
            assert isinstance(layer, Conv)
            (top, bottom), (left, right) = layer.padding
            padded = functional.pad(x, (left, right, top, bottom))
            weight, bias = as_tensor(forms.weight(layer, step.norm)), _bias(layer, step, forms)
            return functional.conv2d(padded, weight, bias, layer.stride, 0, layer.dilation, layer.groups)
        case "product":
            assert isinstance(layer, Conv | Linear)
            rows = _rows(forms.rows(layer, step.norm, threads=threads), inputs=x.shape[1])
            return functional.linear(x.flatten(1), rows, _bias(layer, step, forms))[:, :, None, None]
        case "pool":
            assert isinstance(layer, Pool)
            return (WholeMapPool(layer.pooling) if layer.kernel is None else UnevenPool2d(layer))(x)
        case "affine":
            if step.norm is None:
                return x
            scale, shift = (as_tensor(array)[:, None, None] for array in forms.affine(step.norm))
            return x * scale + shift
        case "add":
            return x + reads[1]
        case "tanh":
            return torch.tanh(x)
        case "lrn":
            assert isinstance(layer, LRN)
            return functional.local_response_norm(x, layer.size, layer.alpha * layer.size, layer.beta, layer.k)
        case "planes":
            return x.flatten(1)[:, :, None, None]
        case "copy":
            return x
        case "zeros":
            return torch.zeros(())
    assert_never(step.kernel)


def _bias(layer: Conv | Linear, step: Step, forms: Forms) -> Tensor | None:
    bias = forms.bias(layer, step.norm)
    return None if bias is None else as_tensor(bias)


def _rows(form: Form, *, inputs: int) -> Tensor:
    """The matrix (outputs, inputs) in float32."""
    if form.type == BFLOAT16:
        return as_tensor(form.array.view(np.int16)).view(torch.bfloat16).float().view(-1, inputs)
    if form.type == INT8:
        outputs = form.array.size // (inputs + 4)  # each row has a unit, and at most three bytes lie between
        units = form.array[-4 * outputs :].view(np.float32)
        return as_tensor(form.array[: outputs * inputs].reshape(outputs, inputs) * units[:, None])
    return as_tensor(form.array).view(-1, inputs)
