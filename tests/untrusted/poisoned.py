"""Loads everything that a run consists of where unpickling raises: poisoned.py FOLDER, in which a run was trained."""

import marshal
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import yaml

import verydeep
from verydeep.weights import file_kinds

IMPORT = ("importlib._bootstrap_external", "_frozen_importlib_external", "zipimport")


class PoisonedError(BaseException):
    """Not an Exception, so that nothing swallows it."""


def poison(module: Any, *names: str) -> None:
    """Have these functions of `module` raise, except for Python's own imports."""
    for name in names:
        setattr(module, name, raising(f"{module.__name__}.{name}", getattr(module, name)))


def raising(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that only imports may call."""

    def poisoned(*arguments: Any, **options: Any) -> Any:
        if sys._getframe(1).f_globals.get("__name__") in IMPORT:
            return function(*arguments, **options)
        raise PoisonedError(name)

    return poisoned


def useless(unpickler: type) -> type:
    """A class that others may inherit from, and that unpickles nothing."""

    def load(self: Any) -> None:
        raise PoisonedError(unpickler.__name__)

    return type(unpickler.__name__, (unpickler,), {"load": load})


def main(folder: Path) -> None:
    """Open, evaluate, resume, and read each file of weights."""
    poison(pickle, "load", "loads", "_loads", "_load")
    pickle.Unpickler = useless(pickle.Unpickler)
    pickle._Unpickler = useless(pickle._Unpickler)
    poison(marshal, "load", "loads")
    poison(torch, "load")
    poison(torch.serialization, "load", "_load", "_legacy_load")
    poison(yaml, "unsafe_load", "full_load", "UnsafeLoader", "FullLoader", "Loader")
    run = verydeep.open_run(folder)
    verydeep.evaluate(run)
    verydeep.resume(folder)
    model = verydeep.build(run.network)
    verydeep.load_weights(model, folder / "model.safetensors")
    files = sorted(folder.rglob("*.safetensors"))
    for file in files:
        file_kinds.read(file)
    verydeep.load_weights(model, folder / "state_dict.pth")
    print(len(files))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
