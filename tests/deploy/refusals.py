"""What every format owes: a file that is not the model is deleted, and a package that is missing is one line."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from verydeep.cli.main import main
from verydeep.deploy.formats import FORMATS, format_of, writer


def damage(monkeypatch: pytest.MonkeyPatch, to: str) -> None:
    """Let what the writer of a format writes be off by a thousandth, in the last matrix."""
    module: Any = writer(format_of(to))
    original = module.write

    def write(bundle: Any, path: Path, *, size: Any) -> None:
        last = [name for name in bundle.weights if name.endswith("weight")][-1]
        weights = {**bundle.weights, last: bundle.weights[last] * np.float32(1.001)}
        original(replace(bundle, weights=weights), path, size=size)

    monkeypatch.setattr(module, "write", write)


def take_away(monkeypatch: pytest.MonkeyPatch, package: str, *, to: str) -> None:
    """Let a package be missing, whatever of it is loaded already."""
    for name in [package, *(name for name in sys.modules if name.startswith(f"{package}."))]:
        monkeypatch.setitem(sys.modules, name, None)  # type: ignore[arg-type] - what Python documents for this
    monkeypatch.delitem(sys.modules, FORMATS[to].module, raising=False)


def refused(model: Path, to: str, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, str]:
    """Exit code and line of an export that is refused, of which nothing is left."""
    before = sorted(model.parent.iterdir())
    with pytest.raises(SystemExit) as ended:
        main(["export", str(model), "digits", "--to", to, *options])
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1), said.err
    assert sorted(model.parent.iterdir()) == before
    return int(ended.value.code or 0), said.err.removeprefix("verydeep: error").strip()
