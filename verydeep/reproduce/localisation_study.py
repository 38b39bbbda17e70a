"""Tables 8 and 9 on a laptop: the paper's comparisons of localisers, on the embedded digits on photographs.

A thin network of four blocks, with batch norm, reads crops of 64 and has a step of 16. S = 80 and S = 96, 1.25 and
1.5 times the crop, stand for the paper's 256 and 384, 1.14 and 1.71 times its crop of 224: with the paper's ratios the
dense form of the smaller one would have a single cell, and crops of the larger one would show too little of a digit.
Table 8, at S = 384 in the paper, is computed at S = 80: at 96 a crop leaves out so much that seeds differ more than the
rows do.
"""

import json
import shlex
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from verydeep import run_files as files
from verydeep.data.decode import shown
from verydeep.durable import write_atomic
from verydeep.errors import ConfigError
from verydeep.localise.center import center_boxes
from verydeep.localise.constant import best_constant_box, placed_constant
from verydeep.localise.error import ground_truth_error, guessed_error
from verydeep.localise.guesses import guess_all
from verydeep.localise.localiser import RECORD, Localiser, open_localiser
from verydeep.localise.synthetic import load_synthetic
from verydeep.localise.train import train_localiser
from verydeep.localise.tuning import Tuning
from verydeep.reproduce.lineage import identity
from verydeep.reproduce.training_task import BEFORE_THE_SETTINGS, differences
from verydeep.run import Run, open_run, read_record
from verydeep.settings.agreement import agreed
from verydeep.settings.config import checked
from verydeep.settings.recipes import normed
from verydeep.settings.sources import from_yaml
from verydeep.training.display import Silent
from verydeep.training.session import resume, train

SEEDS = (0, 1, 2)
CROP, SMALL, LARGE = 64, 80, 96  # pixels: what the network reads, and the two training scales S
LARGE_BOTH = (88, 96)  # test scales Q; the paper's 352 and 384
SOURCE = "source.json"  # in a localiser's folder: with which classifier it began

PUBLISHED_8 = {"fc6-fc7, SCR": 36.4, "fc6-fc7, PCR": 34.3, "all layers, PCR": 33.1}  # percent; S = 384
PUBLISHED_9 = (29.5, 28.2, 27.5, 26.9)  # percent, validation
CLASSIFIER: dict[str, Any] = {
    "data": "synthetic",
    "arch": "1x16,1x32,1x64,1x128",
    "batch_norm": True,
    "fc": (128, 128),
    "dropout": 0.0,
    "flip": False,
    "epochs": 12,
    "batch": 32,
    "lr": 0.02,
    "workers": 0,
}
SHARED: dict[str, Any] = {"epochs": 8, "batch": 64, "lr": 0.03, "clip": 1.0, "flip": "never"}

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table: what was measured for each seed."""

    name: str
    errors: tuple[float, ...]  # a fraction for each seed
    published: float | None = None  # the paper's, in percent, for ImageNet's validation images


def table8(folder: Path, *, seeds: Sequence[int] = SEEDS, device: str = "auto", say: Say = print) -> tuple[Row, ...]:
    """Protocol 1, ground-truth-class error: one box or one per class, fully connected or all layers tuned.

    Args:
        folder: Where the runs lie, or will: those that are there already are not trained again, a classifier that was
            stopped is gone on with, and a localiser that was stopped is begun anew.
        seeds: Of classifier and localiser.
        device: "auto", "cpu", "cuda" or "cuda:N".
        say: Is told what is being done.

    Raises:
        ConfigError: code REPRODUCE-OTHER; a folder holds something else, or what was trained with other settings.
        All that training raises.
    """
    test = load_synthetic(split="test")
    constant = ground_truth_error(placed_constant(best_constant_box(load_synthetic(split="train")), test), test)
    found: dict[str, list[float]] = {}
    for seed in seeds:
        for name, tuning in _settings(seed).items():
            localiser = _localiser(folder, name, tuning=tuning, scale=SMALL, device=device, say=say)
            error = ground_truth_error(center_boxes(localiser, test, device=device), test)
            say(f"seed {seed}, {name}: ground-truth-class error {error:.4f}")
            found.setdefault(name, []).append(error)
    rows = [Row(name, tuple(errors), PUBLISHED_8.get(name)) for name, errors in found.items()]
    return (Row("the best constant box", (constant,) * len(seeds)), *rows)


def table9(folder: Path, *, seeds: Sequence[int] = SEEDS, device: str = "auto", say: Say = print) -> tuple[Row, ...]:
    """Protocol 2, top-5 localisation error: per-class boxes with all layers tuned, at two scales, several, and fused.

    The arguments are those of `table8`, and a folder may be that of both.
    """
    test = load_synthetic(split="test")
    found: dict[str, list[float]] = {}
    for seed in seeds:
        tuning = Tuning(**SHARED, boxes="per-class", tune="all", seed=seed)
        small, large = (
            _localiser(folder, "all layers, PCR", tuning=tuning, scale=scale, device=device, say=say)
            for scale in (SMALL, LARGE)
        )
        raters = {
            scale: _classifier(folder, scale=scale, seed=seed, device=device, say=say) for scale in (SMALL, LARGE)
        }
        for name, localisers, rater, scales in (
            (f"{SMALL} / {SMALL}", (small,), raters[SMALL], (SMALL,)),
            (f"{LARGE} / {LARGE}", (large,), raters[LARGE], (LARGE,)),
            (f"{LARGE} / {LARGE_BOTH[0]},{LARGE_BOTH[1]}", (large,), raters[LARGE], LARGE_BOTH),
            (
                f"fusion: {SMALL} and {LARGE} / {LARGE_BOTH[0]},{LARGE_BOTH[1]}",
                (small, large),
                raters[LARGE],
                LARGE_BOTH,
            ),
        ):
            guesses, _ = guess_all(localisers, rater, test, scales=scales, device=device)
            error = guessed_error(guesses, test)
            say(f"seed {seed}, {name}: top-5 error {error:.4f}")
            found.setdefault(name, []).append(error)
    published = dict(zip(found, PUBLISHED_9, strict=True))
    return tuple(Row(name, tuple(errors), published[name]) for name, errors in found.items())


def _settings(seed: int) -> dict[str, Tuning]:
    """The rows of Table 8, and the one that the paper does not print: all layers, SCR."""
    return {
        "fc6-fc7, SCR": Tuning(**SHARED, boxes="single-class", tune="fc", seed=seed),
        "fc6-fc7, PCR": Tuning(**SHARED, boxes="per-class", tune="fc", seed=seed),
        "all layers, SCR": Tuning(**SHARED, boxes="single-class", tune="all", seed=seed),
        "all layers, PCR": Tuning(**SHARED, boxes="per-class", tune="all", seed=seed),
    }


def _classifier(folder: Path, *, scale: int, seed: int, device: str, say: Say) -> Run:
    """The classifier of one scale and seed: trained where it is not there yet, or gone on with where it was stopped."""
    place = folder / f"seed-{seed}" / f"classifier-{scale}"
    config = agreed(normed().updated(**CLASSIFIER, size=CROP, scale=(scale, scale), device=device, seed=seed))
    if place.is_dir() and {path.name for path in place.iterdir()} <= BEFORE_THE_SETTINGS:
        shutil.rmtree(place)
    if not place.exists():
        say(f"seed {seed}: training a classifier at S = {scale}")
        run = train(config, out=place, display=Silent())
    else:
        if (lack := files.lacking(place)) is not None:
            raise _other(place, f"it is no run, {lack} is missing")
        if different := differences(checked(from_yaml(place / files.CONFIG), where=str(place / files.CONFIG)), config):
            raise _other(place, "; ".join(different))
        result = place / files.RESULT
        if result.is_file() and read_record(result).get("split") is not None:
            return open_run(place)
        say(f"seed {seed}: going on with the classifier at S = {scale}")
        run = resume(place, {"device": device}, display=Silent())
    say(f"seed {seed}: its top-1 is {run.result['evaluation']['top1']:.4f}")
    return run


def _localiser(folder: Path, name: str, *, tuning: Tuning, scale: int, device: str, say: Say) -> Localiser:
    """The localiser of a row, trained where it is not there whole; its training has no checkpoint to go on from."""
    classifier = _classifier(folder, scale=scale, seed=tuning.seed, device=device, say=say)
    words = name.replace(",", "").replace(" ", "-").lower()
    place = folder / f"seed-{tuning.seed}" / f"{words}-{scale}"
    source, began_with = place / SOURCE, {"classifier": identity(classifier.path)}
    if (place / RECORD).is_file() and (place / files.MODEL).is_file() and source.is_file():
        found = open_localiser(place)
        there, wanted = found.record["tuning"], tuning.to_json()
        if there != wanted:
            names = [key for key in wanted if not isinstance(there, dict) or there.get(key) != wanted[key]]
            raise _other(place, f"it was trained with another {', '.join(names) or 'setting'}")
        if read_record(source) != began_with:
            raise _other(place, "it began with another classifier than lies there now")
        return found
    if place.is_dir() and {path.name for path in place.iterdir()} <= {RECORD, files.MODEL, SOURCE}:
        shutil.rmtree(place)  # a killed training's: what it began with is written last
    say(f"seed {tuning.seed}: training a localiser at S = {scale}, {name}")
    found = train_localiser(classifier, load_synthetic(split="train"), tuning=tuning, out=place, device=device)
    write_atomic(source, (json.dumps(began_with, indent=2) + "\n").encode())
    return found


def _other(place: Path, why: str) -> ConfigError:
    return ConfigError(
        f"{shown(place)} is not what is wanted: {why}",
        code="REPRODUCE-OTHER",
        hint=f"Choose another --out, or remove it: rm -r {shlex.quote(str(place))}",
    )
