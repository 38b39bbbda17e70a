"""The race of a GPU rehearsed on the CPU: both sides take the same steps, and the script leaves its record."""

import io
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.gpu_race import airbench94, jpeg_copy, race, views
from benchmarks.gpu_race.ours import Ours
from verydeep.backends import pytorch
from verydeep.data.batches import Batch
from verydeep.settings.recipes import recipe
from verydeep.training.lookahead import Lookahead
from verydeep.training.schedule import rate
from verydeep.training.step import take_step

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")
STEPS = 12


def _side(**changes: object) -> Ours:
    full = recipe("cifar-sprint")
    config = full.updated(width=0.125, batch=16, lr=full.lr * 16 / full.batch, precision="float32", **changes)
    return Ours(config, *jpeg_copy.noise(64), CPU)


def test_cifar_sprint_takes_the_steps_of_the_published_recipe_with_relu():
    side = _side()
    config, learner = side.prepared.config, side.learner
    learner.model.double()
    learner.lookahead = Lookahead(pytorch.tensors(learner.model), every=config.lookahead)
    numbers = airbench94.Recipe(activation="relu", widths=(8, 32, 32), batch=16, dtype=torch.float64)
    theirs = airbench94.network(numbers, CPU).train()
    _copy(pytorch.tensors(learner.model), theirs, scale=config.logit_scale)
    training = airbench94.Training(theirs, theirs, numbers, steps=STEPS)
    for number in range(STEPS):
        batch = _batch(number)
        lr = rate(config, step=number, steps=STEPS, epoch=0, drops=0)
        take_step(
            learner.called,
            batch,
            learner.optimizer,
            config=config,
            processes=side.prepared.processes,
            step=number,
            rate=lr,
            stop=False,
        )
        learner.follow(step=number + 1, steps=STEPS)
        training.share = lambda lr=lr: lr / config.lr
        training.step(batch.images, batch.labels)
    ours, moved = pytorch.tensors(learner.model), pytorch.tensors(_side().learner.model)
    for name, tensor in _named(theirs, scale=config.logit_scale).items():
        scale = tensor.abs().max()
        assert (ours[name] - tensor).abs().max() <= 2e-5 * scale, name
        if name not in ("conv1.weight",):
            assert (ours[name] - moved[name]).abs().max() > 1e-3 * scale, name


def _batch(number: int) -> Batch:
    stream = torch.Generator().manual_seed(number)
    return Batch(
        images=torch.randn(16, 3, 32, 32, generator=stream, dtype=torch.float64),
        labels=torch.randint(10, (16,), generator=stream),
        indices=np.arange(16),
        total=16,
    )


def _named(model: airbench94.CifarNet, *, scale: float) -> dict[str, torch.Tensor]:
    """The published network's arrays under our names."""
    found = {"conv1.weight": model.whiten.weight, "conv1.bias": model.whiten.bias}
    for number, group in enumerate(model.groups, start=2):
        for index in (1, 2):
            norm = getattr(group, f"norm{index}")
            norm.eps = 1e-5
            found[f"conv{number}_{index}.weight"] = getattr(group, f"conv{index}").weight
            found[f"bn{number}_{index}.bias"] = norm.bias
            found[f"bn{number}_{index}.running_mean"] = norm.running_mean
            found[f"bn{number}_{index}.running_var"] = norm.running_var
    return found | {"fc5.weight": model.head.weight * scale}


def _copy(ours: dict[str, torch.Tensor], theirs: airbench94.CifarNet, *, scale: float) -> None:
    with torch.no_grad():
        for name, tensor in _named(theirs, scale=1.0).items():
            if name == "fc5.weight":
                theirs.head.weight.copy_(ours[name] / scale)
            else:
                tensor.copy_(ours[name])


def test_both_sides_whiten_alike():
    train, _ = jpeg_copy.noise(64)
    numbers = airbench94.Recipe(widths=(8, 16, 16), dtype=torch.float32)
    theirs = airbench94.network(numbers, CPU)
    side = _side()
    images = (torch.from_numpy(train.images) - torch.tensor(side.preprocessing.mean)[None, :, None, None]) / (
        torch.tensor(side.preprocessing.std)[None, :, None, None]
    )
    airbench94.whiten(theirs, images.float())
    ours, kernels = side.learner.weights()["conv1.weight"].flatten(1), theirs.whiten.weight.flatten(1)
    # Noise varies nearly alike in all directions, and any may be called principal: the map as a whole must agree.
    np.testing.assert_allclose(
        (ours[:12].T @ ours[:12]).numpy(), (kernels[:12].T @ kernels[:12]).detach().numpy(), atol=1e-3
    )


def test_the_published_way_mirrors_each_image_in_every_second_epoch():
    images, labels = torch.arange(40 * 3 * 4 * 4, dtype=torch.float32).reshape(40, 3, 4, 4), torch.arange(40)
    shown = airbench94.Images(images, labels, airbench94.Recipe(batch=20, translate=0))
    epochs = []
    for _ in range(2):
        seen = {int(y): x for batch, answers in shown.batches() for x, y in zip(batch, answers, strict=True)}
        epochs.append(torch.stack([seen[number] for number in range(40)]))
    assert torch.equal(epochs[0], epochs[1].flip(-1))


def test_a_network_that_sees_no_place_and_no_side_has_one_accuracy_for_all_views():
    class Mean(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.mean((2, 3))

    images = torch.rand(9, 3, 1, 1).expand(9, 3, 8, 8)
    labels = images[:, :, 0, 0].argmax(1)
    assert views.accuracies(Mean(), images, labels, bf16=False) == {"plain": 1.0, "mirror": 1.0, "six": 1.0}


def test_six_views_are_the_published_mean():
    class Corner(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x[:, :, 1, 1]

    image = torch.arange(16.0).reshape(1, 1, 4, 4)
    places = {"still": (5 + 6) / 2, "up": (0 + 1) / 2, "down": (10 + 11) / 2}
    wide = torch.nn.functional.pad(image, (1, 1, 1, 1), "reflect")
    up, down = wide[:, :, :4, :4], wide[:, :, 2:, 2:]
    assert [view[0, 0, 1, 1].item() for view in (up, down)] == [0, 10]
    expected = places["still"] / 2 + (0 + up[0, 0, 1, 2]) / 8 + (10 + down[0, 0, 1, 2]) / 8
    assert views._six(Corner(), image).item() == pytest.approx(float(expected))


def test_another_seed_begins_anew_in_the_same_tensors():
    side = _side(epochs=2)
    before = {name: tensor.data_ptr() for name, tensor in side.learner.weights().items()}
    seconds = side.race(1)
    once = pytorch.get_weights(side.learner.model)
    side.race(2)
    other = pytorch.get_weights(side.learner.model)
    side.race(1)
    again = pytorch.get_weights(side.learner.model)
    assert seconds > 0
    assert all(np.array_equal(once[name], again[name]) for name in once)
    assert not np.array_equal(once["conv2_1.weight"], other["conv2_1.weight"])
    assert before == {name: tensor.data_ptr() for name, tensor in side.learner.weights().items()}


def test_the_jpeg_copy_is_read_in_its_official_order(shared_data: Path):
    archive = shared_data / "cifar10-jpeg" / "cifar10_jpeg.npz"
    train, test = jpeg_copy.load(archive, most=5)
    assert train.images.shape == test.images.shape == (5, 3, 32, 32)
    with np.load(archive) as found:
        offsets = found["offsets"]
        last = found["header"].tobytes() + found["data"].tobytes()[offsets[50_004] : offsets[50_005]]
        assert test.labels.tolist() == found["test_labels"][:5].tolist()
    assert np.array_equal(test.images[4].transpose(1, 2, 0), np.asarray(Image.open(io.BytesIO(last))))


def test_the_rehearsal_leaves_its_record(tmp_path: Path, capsys):
    race.main(["--device", "cpu", "--tiny", "--compile", "off", "--seeds", "2", "--out", str(tmp_path / "race")])
    record = json.loads((tmp_path / "race" / "result.json").read_text())
    assert record["command"][:2] == ["scripts/gpu-race", "--device"]
    assert record["machine"]["packages"]["torch"] == torch.__version__.split("+")[0]
    sides = record["sprint"]["sides"]
    assert list(sides) == ["verydeep cifar-sprint", "published", "published, ReLU"]
    for side in sides.values():
        assert len(side["seeds"]) == 2
        assert set(side["summary"]) == {"seconds", "plain", "mirror", "six"}
        assert side["summary"]["seconds"]["mean"] > 0
    assert record["vgg"]["utilisation"] > 0
    printed = capsys.readouterr().out
    assert "warm-up  published" in printed and "of the matrix rate" in printed


def test_the_script_says_which_package_is_missing_and_where_to_read_on(tmp_path: Path):
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I -S "$@"\n')
    bare.chmod(0o755)
    done = subprocess.run(
        [ROOT / "scripts" / "gpu-race"],
        env={"PYTHON": str(bare), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == f"scripts/gpu-race: {bare} has no torch; the head of this file says how to bring it along\n"


def test_the_published_numbers_are_the_published_ones():
    numbers = airbench94.Recipe()
    assert (numbers.lr, numbers.weight_decay, numbers.bias_scaler, numbers.epochs) == (11.5, 0.0153, 64.0, 9.9)
    training = airbench94.Training(
        model := airbench94.network(replace(numbers, dtype=torch.float32), CPU), model, numbers, steps=476
    )
    fast, usual = training.optimizer.param_groups
    assert fast["lr"] == pytest.approx(64 * usual["lr"])
    assert fast["lr"] * fast["weight_decay"] == pytest.approx(usual["lr"] * usual["weight_decay"])
    assert len(fast["params"]) == 6
    assert training.share() == pytest.approx(0.2)
    training.step_number = 109
    assert training.share() == 1.0
