"""One step is the formula: SGD with momentum by hand, whatever the pieces."""

import numpy as np
import pytest
import torch

from verydeep.backends import pytorch
from verydeep.data.batches import Batch
from verydeep.families.vgg import vgg
from verydeep.processes import Processes
from verydeep.settings.config import Config
from verydeep.training.optimizer import optimizer_for
from verydeep.training.step import take_step
from verydeep.weights.initial import initial

CPU = Processes(torch.device("cpu"))
NETWORK = vgg(((1, 4), (1, 6)), input=(2, 8, 8), classes=5, fc=(7,), dropout=0.0)


def _batch(number: int, images: int = 12) -> Batch:
    stream = np.random.default_rng(number)
    return Batch(
        images=torch.from_numpy(stream.standard_normal((images, 2, 8, 8)).astype(np.float32)),
        labels=torch.from_numpy(stream.integers(0, 5, images)),
        indices=np.arange(images),
        total=images,
    )


def _after(steps: int, config: Config, *, dtype: torch.dtype = torch.float32) -> dict[str, np.ndarray]:
    model = pytorch.build(NETWORK, initial(NETWORK)).to(dtype)
    optimizer = optimizer_for(dict(_parameters(model)), config)
    for number in range(steps):
        batch = _batch(number)
        batch = Batch(batch.images.to(dtype), batch.labels, batch.indices, batch.total)
        take_step(model, batch, optimizer, config=config, processes=CPU, step=number, rate=config.lr, stop=False)
    return pytorch.get_weights(model)


def _parameters(model: torch.nn.Module) -> list[tuple[str, torch.nn.Parameter]]:
    return [(name, value) for name, value in pytorch.tensors(model).items() if isinstance(value, torch.nn.Parameter)]


@pytest.mark.parametrize(("momentum", "nesterov", "decay"), [(0.0, False, 0.0), (0.9, False, 5e-4), (0.9, True, 1e-2)])
def test_twenty_steps_of_sgd_are_those_of_the_formula(momentum, nesterov, decay):
    config = Config(lr=0.05, momentum=momentum, nesterov=nesterov, weight_decay=decay)
    model = pytorch.build(NETWORK, initial(NETWORK)).double()
    weights = {name: value.astype(np.float64) for name, value in initial(NETWORK).items()}
    velocity = {name: np.zeros_like(value) for name, value in weights.items()}
    for number in range(20):
        pytorch.set_weights(model, weights)
        model.zero_grad()
        batch = _batch(number)
        torch.nn.functional.cross_entropy(model(batch.images.double()), batch.labels).backward()
        for name, parameter in _parameters(model):
            assert parameter.grad is not None
            gradient = parameter.grad.numpy() + decay * weights[name]
            velocity[name] = momentum * velocity[name] + gradient
            change = gradient + momentum * velocity[name] if nesterov else velocity[name]
            weights[name] = weights[name] - 0.05 * change
    ours = _after(20, config)
    scale = max(np.abs(value).max() for value in weights.values())
    assert max(np.abs(ours[name] - weights[name]).max() for name in weights) <= 1e-6 * scale


@pytest.mark.parametrize("pieces", [2, 3, 6])
def test_a_batch_in_pieces_gives_the_same_step(pieces):
    whole, parts = _after(5, Config(lr=0.05)), _after(5, Config(lr=0.05, accumulate=pieces))
    assert max(np.abs(whole[name] - parts[name]).max() for name in whole) <= 1e-6


def test_clipping_limits_the_gradients_norm():
    config = Config(lr=1.0, momentum=0.0, weight_decay=0.0, clip=0.01)
    before, after = initial(NETWORK), _after(1, config)
    moved = np.sqrt(sum(((after[name] - before[name]) ** 2).sum() for name in before))
    assert moved == pytest.approx(0.01, rel=1e-3)


def test_only_matrices_decay_where_asked():
    groups = optimizer_for(dict(_parameters(pytorch.build(NETWORK, initial(NETWORK)))), Config(decayed="matrices"))
    decays = {group["weight_decay"]: {p.ndim for p in group["params"]} for group in groups.param_groups}
    assert decays == {5e-4: {2, 4}, 0.0: {1}}


def test_label_smoothing_is_that_of_the_formula_and_the_loss_told_is_without_it():
    batch, config = _batch(0), Config(smoothing=0.1, momentum=0.0, weight_decay=0.0)
    ours, model = (pytorch.build(NETWORK, initial(NETWORK)) for _ in range(2))
    log_probabilities = torch.log_softmax(model(batch.images), 1)
    own = log_probabilities[torch.arange(12), batch.labels]
    (-(0.9 * own + 0.1 * log_probabilities.mean(1)).mean()).backward()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.sub_(0.1 * parameter.grad)
    optimizer = optimizer_for(dict(_parameters(ours)), config)
    outcome = take_step(ours, batch, optimizer, config=config, processes=CPU, step=0, rate=0.1, stop=False)
    expected = pytorch.get_weights(model)
    assert max(np.abs(value - expected[name]).max() for name, value in pytorch.get_weights(ours).items()) <= 1e-6
    assert outcome.loss_sum == pytest.approx(-own.sum().item(), rel=1e-5)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_sixteen_images_can_be_learned_by_heart(optimizer):
    config = Config(optimizer=optimizer, lr=0.02 if optimizer == "sgd" else 3e-3, weight_decay=0.0)
    wide = vgg(((1, 16), (1, 32)), input=(2, 8, 8), classes=5, fc=(32,), dropout=0.0)
    model = pytorch.build(wide, initial(wide))
    learner, batch = optimizer_for(dict(_parameters(model)), config), _batch(0, images=16)
    for number in range(200):
        outcome = take_step(
            model, batch, learner, config=config, processes=CPU, step=number, rate=config.lr, stop=False
        )
    assert outcome.correct == 16
    assert outcome.loss_sum / 16 < 1e-3
