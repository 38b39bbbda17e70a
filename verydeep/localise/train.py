"""From a classifier's run to a localiser: the last layer gives boxes, and some or all layers learn (appendix A)."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, compress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from verydeep.backends import pytorch
from verydeep.data import split
from verydeep.data.augment import Augment
from verydeep.data.batches import Batch, batches, plan
from verydeep.data.check import refuse_unreadable
from verydeep.data.decode import shown
from verydeep.data.split import FileSplit
from verydeep.errors import ConfigError
from verydeep.localise.annotated import Annotated, part, suited
from verydeep.localise.center import boxes_in_images, center_outputs
from verydeep.localise.error import ground_truth_error
from verydeep.localise.frame import refuse_unplaced
from verydeep.localise.head import first_weights, locator
from verydeep.localise.localiser import Localiser, open_localiser, save_localiser
from verydeep.localise.loss import euclidean
from verydeep.localise.targets import Targets, targets
from verydeep.localise.tuning import Tuned, Tuning
from verydeep.preprocessing import Preprocessing
from verydeep.processes import Processes, joined
from verydeep.record.environment import environment
from verydeep.rewrite.cut import head_weights
from verydeep.run import Run
from verydeep.settings.config import Config
from verydeep.spec import Linear, Network, walk
from verydeep.training.kernels import choose_kernels
from verydeep.training.optimizer import optimizer_for, set_rate
from verydeep.training.our_kernels import refuse_instructions
from verydeep.training.prepare import augment_for
from verydeep.training.schedule import rate
from verydeep.training.shortcuts import take_shortcuts
from verydeep.training.step import not_finite, reseed, stream
from verydeep.weights.initial import Weights

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, eq=False)
class _Lesson:
    """What all epochs share."""

    network: Network
    model: nn.Module
    config: Config
    preprocessing: Preprocessing
    augment: Augment
    train: Annotated
    device: torch.device


def train_localiser(
    classifier: Run,
    data: Annotated,
    *,
    tuning: Tuning,
    out: Path,
    device: str = "auto",
    say: Say | None = None,
) -> Localiser:
    """Train a localiser that begins with the weights of `classifier`, and leave it in the folder `out`.

    Two trainings with equal settings, images and threads on one machine give the same bits.

    Args:
        classifier: A run; the localiser takes over its preprocessing, its classes and its augmentation.
        data: Training images with boxes, of classes that the classifier knows.
        tuning: What learns, and how.
        out: The folder, new or empty.
        device: "auto", "cpu", "cuda" or "cuda:N".
        say: Is told a line for each epoch.

    Raises:
        ConfigError: code OUT-TAKEN, something is in the folder already; or settings that do not go together.
        DataError: images that cannot be read, or classes that the classifier does not know.
        SpecError: the classifier does not end in a layer of class scores.
        NumericalError: the loss is not finite; nothing is written.
    """
    _refuse_taken(out)
    config = tuning.config(classifier.settings)
    preprocessing = classifier.preprocessing
    data = suited(data, classes=classifier.named(), channels=preprocessing.channels)
    refuse_unreadable(data.split)
    train, val = held_out(data, fraction=tuning.val, seed=tuning.seed)
    augment = _augment(config, preprocessing, train)
    refuse_unplaced(augment)
    network = locator(classifier.network, boxes=tuning.boxes)
    arrays = first_weights(
        classifier.network, boxes=tuning.boxes, classifier_weights=classifier.weights, seed=tuning.seed
    )
    refuse_instructions()
    choose_kernels(config)
    began = time.monotonic()
    with joined(device) as processes:
        _refuse_several(processes)
        _make(out)
        model = _model(network, arrays, tune=tuning.tune, config=config, device=processes.device)
        lesson = _Lesson(network, model, config, preprocessing, augment, train, processes.device)
        history = _run_epochs(lesson, val, tune=tuning.tune, processes=processes, say=say or _silent)
    save_localiser(
        out,
        network=network,
        weights=pytorch.get_weights(model),
        preprocessing=preprocessing,
        boxes=tuning.boxes,
        classes=classifier.named(),
        classifier=classifier.path,
        record={
            "tuning": tuning.to_json(),
            "data": {"name": data.split.name, "images": len(train), "left_out": data.left_out},
            "history": history,
            "result": {**history[-1], "seconds": round(time.monotonic() - began, 1)},
            "environment": environment(),
        },
    )
    return open_localiser(out)


def held_out(data: Annotated, *, fraction: float, seed: int) -> tuple[Annotated, Annotated | None]:
    """The images to learn from, and those to watch the error on: `split.hold_out`, with the boxes.

    A file that comes several times, once for each class, goes to one side as a whole, by its first class.
    """
    if not fraction:
        return data, None
    places: dict[str, list[int]] = {}
    names = data.split.paths if isinstance(data.split, FileSplit) else map(str, range(len(data)))
    for place, name in enumerate(names):
        places.setdefault(name, []).append(place)
    labels = data.split.labels[[of_one[0] for of_one in places.values()]]
    held = split.held_out(labels, fraction=fraction, seed=seed, of=data.split.name)
    kept, watched = (
        part(data, np.array(sorted(chain(*compress(places.values(), chosen))), dtype=np.int64))
        for chosen in (~held, held)
    )
    return kept, watched


def tuned_layers(network: Network, tune: Tuned) -> frozenset[str]:
    """The names of the layers that learn."""
    names = [step.layer.name for step in walk(network) if step.layer.weights(step.before)]
    if tune == "all":
        return frozenset(names)
    connected = [step.layer.name for step in walk(network) if isinstance(step.layer, Linear)]
    return frozenset((*connected[:2], *(name.split(".")[0] for name in head_weights(network))))


def _refuse_taken(out: Path) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"--out {shown(out)} is not empty", code="OUT-TAKEN", hint="Choose another folder.")


def _refuse_several(processes: Processes) -> None:
    if processes.world > 1:
        raise ConfigError(
            f"a localiser is trained by one process, not by {processes.world}",
            code="LOCALISE-PROCESSES",
            hint="Call it without torchrun.",
        )


def _make(out: Path) -> None:
    """Make the folder before hours are spent on what shall lie in it."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"--out {shown(out)} cannot be made: {error.strerror}", code="OUT", hint="Choose another folder."
        ) from None


def _silent(line: str) -> None:
    del line


def _augment(config: Config, preprocessing: Preprocessing, train: Annotated) -> Augment:
    """The changes to training images, as in the classifier's own training."""
    if config.scale is not None and (config.scale[0] > config.scale[1] or config.scale[0] < max(preprocessing.size)):
        raise ConfigError(
            f"scale {config.scale[0]} to {config.scale[1]} does not hold a crop of {preprocessing.size[0]}",
            code="SCALE",
            hint="Give --scale LOW HIGH with the crop's size <= LOW <= HIGH.",
        )
    return augment_for(config, train.split)


def _model(network: Network, arrays: Weights, *, tune: Tuned, config: Config, device: torch.device) -> nn.Module:
    """The network in training; what does not learn is fixed."""
    model = pytorch.build(network, arrays, layout=config.layout).to(device)
    if device.type == "cpu":
        take_shortcuts(model, precision=config.precision)
    learning = tuned_layers(network, tune)
    for name, tensor in pytorch.tensors(model).items():
        if isinstance(tensor, nn.Parameter):
            tensor.requires_grad_(name.split(".")[0] in learning)
    return model


def _teach(model: nn.Module, tune: Tuned) -> None:
    """Dropout drops; batch norm follows the batches only where the layers before it learn."""
    model.train()
    if tune == "fc":
        for module in model.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                module.eval()


def _run_epochs(
    lesson: _Lesson, val: Annotated | None, *, tune: Tuned, processes: Processes, say: Say
) -> list[dict[str, Any]]:
    """One record for each epoch."""
    config, model = lesson.config, lesson.model
    learned = {name: tensor for name, tensor in pytorch.tensors(model).items() if isinstance(tensor, nn.Parameter)}
    optimizer = optimizer_for(learned, config)
    steps, step, history = config.epochs * len(plan(len(lesson.train), config.batch)), 0, []
    for epoch in range(config.epochs):
        _teach(model, tune)
        total, seen = 0.0, 0
        lr = config.lr
        for batch in _batches(lesson, epoch):
            lr = rate(config, step=step, steps=steps, epoch=epoch, drops=0)
            wanted = _targets(lesson, batch, epoch)
            reseed(lesson.device, stream(config.seed, step, 0))
            set_rate(optimizer, lr)
            total += _step(lesson, batch, wanted, optimizer=optimizer, number=step)
            seen += int(wanted.seen.sum())
            step += 1
        row: dict[str, Any] = {"epoch": epoch + 1, "lr": lr, "loss": total / max(1, seen), "crops": seen}
        if val is not None:
            row["val_error"] = _validate(lesson, val, processes)
        history.append(row)
        say(_line(row))
    return history


def _batches(lesson: _Lesson, epoch: int) -> Iterator[Batch]:
    return batches(
        lesson.train.split,
        preprocessing=lesson.preprocessing,
        augment=lesson.augment,
        batch=lesson.config.batch,
        seed=lesson.config.seed,
        epoch=epoch,
        workers=lesson.config.workers,
    )


def _targets(lesson: _Lesson, batch: Batch, epoch: int) -> Targets:
    return targets(
        lesson.train,
        np.asarray(batch.indices),
        augment=lesson.augment,
        preprocessing=lesson.preprocessing,
        seed=lesson.config.seed,
        epoch=epoch,
    )


def _step(lesson: _Lesson, batch: Batch, wanted: Targets, *, optimizer: torch.optim.Optimizer, number: int) -> float:
    """Lower the mean loss of a batch; the sum of the loss before the step."""
    optimizer.zero_grad(set_to_none=True)
    images = batch.images.to(lesson.device)
    if lesson.config.layout == "channels_last":
        images = images.contiguous(memory_format=torch.channels_last)
    loss = euclidean(
        lesson.model(images),
        torch.from_numpy(wanted.boxes.astype(np.float32)).to(lesson.device),
        labels=batch.labels.to(lesson.device),
        seen=torch.from_numpy(wanted.seen).to(lesson.device),
    )
    (loss / max(1, int(wanted.seen.sum()))).backward()
    learned = [one for group in optimizer.param_groups for one in group["params"] if one.grad is not None]
    norm = get_total_norm([parameter.grad for parameter in learned])
    value = float(loss.detach())
    if not (torch.isfinite(norm) and np.isfinite(value)):
        raise not_finite("the loss", step=number, loss=value, indices=batch.indices)
    if lesson.config.clip:
        clip_grads_with_norm_(learned, lesson.config.clip, norm)
    optimizer.step()
    return value


def _validate(lesson: _Lesson, val: Annotated, processes: Processes) -> float:
    """The ground-truth-class error of the centre crops of `val`."""
    lesson.model.eval()
    outputs = center_outputs(
        lesson.model,
        val.split,
        outputs=lesson.network.classes,
        preprocessing=lesson.preprocessing,
        processes=processes,
        batch=lesson.config.batch,
    )
    return ground_truth_error(boxes_in_images(outputs, val, preprocessing=lesson.preprocessing), val)


def _line(row: Mapping[str, Any]) -> str:
    val = f", val error {row['val_error']:.4f}" if "val_error" in row else ""
    return f"epoch {row['epoch']}: loss {row['loss']:.5f} over {row['crops']:,} crops, rate {row['lr']:.2g}{val}"
