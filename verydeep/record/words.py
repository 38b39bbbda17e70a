"""How a run is put into words, on its page and on its model card: numbers, settings, preprocessing, commands."""

import json
import math
import shlex
from pathlib import Path
from typing import Any

from verydeep.preprocessing import Preprocessing
from verydeep.record.environment import environment
from verydeep.run import Run
from verydeep.run_files import CONFIG, ENVIRONMENT
from verydeep.settings.config import Config

DASH = "\N{EN DASH}"  # where there is no number


def percent(share: float | None, *, digits: int = 1) -> str:
    """A share as ``98.3 %``; what is below 100 is never rounded up to it, and no number is a dash."""
    if share is None:
        return DASH
    scale = 10**digits
    tenths = round(share * 100 * scale)
    if tenths == 100 * scale and share < 1:
        tenths -= 1
    return f"{tenths / scale:.{digits}f} %"


def duration(seconds: float) -> str:
    """Seconds as ``42 s``, ``3 min 20 s`` or ``2 h 05 min``."""
    whole = math.floor(seconds + 0.5)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def amount(count: int) -> str:
    """A large number as ``289 k``, ``2.38 M``, ``15.5 G``, and so on to ``4.31 E``."""
    for least, unit, letter in (
        (999_500 * 10**12, 10**18, "E"),
        (999_500 * 10**9, 10**15, "P"),
        (999_500 * 10**6, 10**12, "T"),
        (999_500_000, 10**9, "G"),
        (999_500, 10**6, "M"),
        (10_000, 10**3, "k"),
    ):
        if count >= least:
            return f"{count / unit:.3g} {letter}"
    return f"{count:,}"


def folder_name(run: Run) -> str:
    """The run folder's own name, without the places above it."""
    return run.path.absolute().name


def data_name(config: Config) -> str:
    """The data set's name; of a folder only its own name, not where it was on the machine."""
    if config.data in ("folder", "imagenet") and config.data_root is not None:
        return config.data_root.name
    return Path(config.data).absolute().name


def settings(config: Config) -> dict[str, Any]:
    """The settings without places on the machine of the one who trained: what reproduces a run elsewhere."""
    shown = {key: value for key, value in config.model_dump(mode="json").items() if key != "data_root"}
    runs = {"grow_from": config.grow_from, "start_from": config.start_from}
    return shown | {"data": data_name(config), **{key: path.name if path else None for key, path in runs.items()}}


def beginning(config: Config) -> str:
    """Where the first weights came from, in a sentence; empty where they were drawn."""
    if config.start_from is not None:
        return f"It began with all the weights of `{config.start_from.name}`."
    if config.grow_from is not None:
        return (
            f"Its first four convolutions and its fully connected layers began as those of `{config.grow_from.name}`."
        )
    return ""


def preprocessing_words(preprocessing: Preprocessing) -> str:
    """How an image becomes input, in a sentence or two."""
    height, width = preprocessing.size
    color = "grey" if preprocessing.color == "grey" else f"{preprocessing.color} colour"
    steps = [f"Images are read as {color}, 0 to 255"]
    if preprocessing.resize is not None:
        steps.append(f"rescaled (bilinear, antialiased) so that the smaller side has {preprocessing.resize} pixels")
    if preprocessing.crop == "center":
        steps.append(f"cropped to the central {height}x{width}, enlarged first where they are smaller")
    mean = ", ".join(f"{value:.4g}" for value in preprocessing.mean)
    text = f"{', '.join(steps)}. The mean ({mean}) is subtracted"
    if any(value != 1 for value in preprocessing.std):
        return f"{text}, and the result divided by the deviation ({', '.join(f'{x:.4g}' for x in preprocessing.std)})."
    return f"{text} and nothing else."


def commands(run: Run) -> tuple[tuple[str, str], ...]:
    """What to type, and what for."""
    folder = shlex.quote(folder_name(run))
    return (
        ("Train it again", f"verydeep train --config {folder}/{CONFIG} --out {folder}-again"),
        ("Evaluate it", f"verydeep evaluate {folder}"),
        ("Classify your own images", f"verydeep predict {folder} image.png"),
    )


def setting(value: Any) -> str:
    """A setting's value as `config.yaml` has it, with a dash for none."""
    if value is None:
        return DASH
    return value if isinstance(value, str) else json.dumps(value)


def machine(run: Run) -> tuple[tuple[str, str], ...]:
    """What the run noted of its machine as it began, or of a run without a note this machine: names and texts."""
    path = run.path / ENVIRONMENT
    facts = json.loads(path.read_text()) if path.is_file() else environment()
    packages = facts.get("packages") or {}
    memory = facts.get("memory_bytes")
    pairs = (
        ("Processor", ", ".join(map(str, (facts.get("cpu") or "", *(facts.get("cpu_flags") or ())))).strip(", ")),
        ("Cores, threads", ", ".join(str(facts[key]) for key in ("cores", "threads") if facts.get(key))),
        ("Memory", f"{memory / 1e9:.1f} GB" if memory else ""),
        ("GPU", ", ".join(facts.get("cuda") or ())),
        ("System", str(facts.get("platform") or "")),
        ("Python", str(facts.get("python") or "")),
        ("Packages", ", ".join(f"{name} {version}" for name, version in packages.items() if version)),
        ("Source", f"commit {facts['commit']}" if facts.get("commit") else ""),
    )
    return tuple((name, text) for name, text in pairs if text)
