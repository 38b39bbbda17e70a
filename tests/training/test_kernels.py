"""What PyTorch keeps for the whole process follows the settings, and compiling keeps the model's own parameters."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from verydeep.settings.config import Config
from verydeep.training.kernels import choose_kernels, compiled


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """The process's own choices come back after each test."""
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = (cudnn.allow_tf32, matmul.allow_tf32, cudnn.benchmark)
    yield
    cudnn.allow_tf32, matmul.allow_tf32, cudnn.benchmark = before


@pytest.mark.parametrize(("precision", "short"), [("float32", False), ("bf16", False), ("tf32", True)])
def test_short_mantissas_are_used_only_where_they_are_asked_for(precision: str, short: bool):
    choose_kernels(Config(precision=precision))
    assert torch.backends.cudnn.allow_tf32 is short
    assert torch.backends.cuda.matmul.allow_tf32 is short


def test_algorithms_are_tried_out_only_where_that_is_asked_for():
    for algorithms, tried in (("fastest", True), ("default", False)):
        choose_kernels(Config(algorithms=algorithms))
        assert torch.backends.cudnn.benchmark is tried


def test_a_model_that_is_not_compiled_is_the_model_itself():
    model = torch.nn.Linear(2, 3)
    assert compiled(model, Config()) is model


def test_compiling_takes_the_mode_and_a_kernel_for_each_size_and_keeps_the_parameters(monkeypatch):
    asked: dict[str, Any] = {}

    def compile_(model: torch.nn.Module, **options: Any) -> torch.nn.Module:
        asked.update(options)
        return torch.nn.Sequential(model)

    monkeypatch.setattr(torch, "compile", compile_)
    model = torch.nn.Linear(2, 3)
    called = compiled(model, Config(compile="reduce-overhead"))
    assert asked == {"mode": "reduce-overhead", "dynamic": False}
    assert list(called.parameters()) == list(model.parameters())


@pytest.mark.slow
def test_a_compiled_model_gives_the_same_gradients():
    model = torch.nn.Sequential(torch.nn.Conv2d(1, 3, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(12, 2))
    x = torch.randn(5, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    gradients = []
    for called in (model, compiled(model, Config(compile="default"))):
        model.zero_grad()
        called(x).square().sum().backward()
        gradients.append([parameter.grad.clone() for parameter in model.parameters()])
    for plain, fused in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, fused, rtol=1e-4, atol=1e-5)
