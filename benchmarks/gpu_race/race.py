"""Training on a GPU, measured: `cifar-sprint` beside the published recipe, and VGG-16's share of the matrix rate."""

import argparse
import json
import statistics
import sys
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

from benchmarks.gpu_race import airbench94, jpeg_copy, utilisation
from benchmarks.gpu_race.ours import Ours
from benchmarks.gpu_race.views import accuracies
from verydeep.data.split import MemorySplit
from verydeep.durable import write_atomic
from verydeep.record.environment import environment
from verydeep.settings.config import Config
from verydeep.settings.recipes import recipe

MODES = ("off", "default", "reduce-overhead", "max-autotune")  # of torch.compile, for all sides
TINY = {"width": 0.0625, "epochs": 1, "batch": 16, "lr": 0.02}  # of ours, for a rehearsal
TINY_IMAGES = 64
TINY_PUBLISHED = {"widths": (8, 16, 16), "epochs": 1.0, "batch": 16, "whiten_images": 32}


class Published:
    """The published recipe's side of the race."""

    def __init__(
        self, numbers: airbench94.Recipe, train: MemorySplit, test: MemorySplit, device: torch.device, *, mode: str
    ) -> None:
        """Settled once: the network and all images on the device."""
        self.numbers, self.device = numbers, device
        self.pixels, self.answers = (torch.from_numpy(x).to(device) for x in (train.images, train.labels))
        self.images = airbench94.normalised(torch.from_numpy(test.images).to(device), numbers)
        self.labels = torch.from_numpy(test.labels).to(device)
        self.model = airbench94.network(numbers, device)
        self.called: Any = self.model if mode == "off" else torch.compile(self.model, mode=mode)

    def race(self, seed: int) -> float:
        """Train from first weights; seconds, the device's work done."""
        torch.manual_seed(seed)
        _wait(self.device)
        began = perf_counter()
        airbench94.train(self.model, self.called, self.pixels, self.answers, recipe=self.numbers)
        _wait(self.device)
        return perf_counter() - began


def main(arguments: list[str]) -> None:
    """Run the race and write result.json."""
    asked = _parser().parse_args(arguments)
    device = torch.device(asked.device)
    torch.backends.cudnn.benchmark = True
    result: dict[str, Any] = {
        "command": ["scripts/gpu-race", *arguments],
        "data": "noise" if asked.data is None else "CIFAR-10 (JPEG copy)",
        "tiny": asked.tiny,
        "machine": environment(),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
    }
    if "sprint" in asked.parts:
        result["sprint"] = _sprint(asked, device)
    if "vgg" in asked.parts:
        result["vgg"] = _vgg(asked, device)
    asked.out.mkdir(parents=True, exist_ok=True)
    write_atomic(asked.out / "result.json", (json.dumps(result, indent=2) + "\n").encode())
    print(asked.out / "result.json")


def _sprint(asked: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    """All sides once to warm up, then in turn, a seed at a time."""
    most = TINY_IMAGES if asked.tiny else None
    if asked.data is None:
        train, test = jpeg_copy.noise(most or 50_000)
    else:
        train, test = jpeg_copy.load(asked.data, most=most)
    ours = recipe("cifar-sprint").updated(compile=asked.compile, **(TINY if asked.tiny else {}))
    published = airbench94.Recipe(**(TINY_PUBLISHED if asked.tiny else {}))
    if device.type == "cpu":
        published = replace(published, dtype=torch.float32)
    sides = {
        "verydeep cifar-sprint": Ours(ours, train, test, device),
        "published": Published(published, train, test, device, mode=asked.compile),
        "published, ReLU": Published(replace(published, activation="relu"), train, test, device, mode=asked.compile),
    }
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in sides}
    for turn in range(asked.seeds + 1):
        for name, side in sides.items():
            seconds = side.race(turn)
            bf16 = isinstance(side, Ours) and ours.precision == "bf16"
            model = side.learner.model if isinstance(side, Ours) else side.model
            found = accuracies(model, side.images, side.labels, bf16=bf16)
            print(f"{'warm-up' if not turn else f'seed {turn}'}  {name:22} {seconds:8.3f} s  {found}", flush=True)
            if turn:
                rows[name].append({"seconds": seconds, **found})
    return {
        "settings": ours.model_dump(mode="json"),
        "sides": {name: {"summary": _summary(found), "seeds": found} for name, found in rows.items()},
    }


def _summary(rows: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    """Mean and standard deviation of each column."""
    return {
        column: {
            "mean": statistics.mean(row[column] for row in rows),
            "deviation": statistics.stdev(row[column] for row in rows) if len(rows) > 1 else 0.0,
        }
        for column in rows[0]
    }


def _vgg(asked: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    """Net D with the settings that a GPU is fastest with."""
    load = utilisation.Load(width=1 / 16, size=32, batch=4, steps=1, side=64) if asked.tiny else utilisation.Load()
    config = Config(precision="bf16", compile=asked.compile, algorithms="fastest", batch=load.batch, clip=1.0)
    found = utilisation.utilisation(config, device=device, load=load)
    print(f"VGG-16: {found['images_per_second']:.1f} images/s, {found['utilisation']:.1%} of the matrix rate")
    return found


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/gpu-race", description=__doc__)
    parser.add_argument("--data", type=Path, help="cifar10_jpeg.npz; without it noise, which nothing can be learned of")
    parser.add_argument("--out", type=Path, default=Path("runs/gpu-race"), help="folder of result.json")
    parser.add_argument("--seeds", type=int, default=10, help="trainings of each side, after one to warm up")
    parser.add_argument("--device", default="cuda")
    parser.add_argument(
        "--compile",
        default="max-autotune",
        choices=MODES,
        help="of all sides; max-autotune as published takes minutes for each, reduce-overhead less",
    )
    parser.add_argument("--parts", nargs="+", default=["sprint", "vgg"], choices=("sprint", "vgg"))
    parser.add_argument("--tiny", action="store_true", help="a rehearsal of seconds, on a CPU too")
    return parser


if __name__ == "__main__":
    main(sys.argv[1:])
