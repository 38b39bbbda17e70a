"""Precision "auto" is settled before the first step and written down: a run never depends on a second timing."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training.tiny import Recorder, bits, tiny, trained
from verydeep.processes import Processes
from verydeep.training import precision
from verydeep.training.precision import settled
from verydeep.training.prepare import first_arrays, prepare
from verydeep.training.session import resume

CPU = Processes(torch.device("cpu"))


def _take(seconds: dict[str, float], monkeypatch) -> None:
    monkeypatch.setattr(precision, "_seconds", lambda *arguments, precision: seconds[precision])


@pytest.mark.parametrize(
    ("seconds", "chosen"),
    [
        ({"float32": 1.0, "bf16": 0.5}, "bf16"),
        ({"float32": 1.0, "bf16": 0.95}, "float32"),
        ({"float32": 0.5, "bf16": 1.0}, "float32"),
    ],
)
def test_bf16_is_taken_where_it_is_clearly_quicker(seconds: dict[str, float], chosen: str, monkeypatch):
    prepared = prepare(tiny(precision="auto"), CPU)
    _take(seconds, monkeypatch)
    assert settled(prepared, first_arrays(prepared)).config.precision == chosen


def test_the_trial_changes_neither_weights_nor_a_precision_that_is_given():
    given = prepare(tiny(precision="bf16"), CPU)
    assert settled(given, {}) is given
    prepared = prepare(tiny(precision="auto"), CPU)
    arrays = first_arrays(prepared)
    copies = {name: array.copy() for name, array in arrays.items()}
    assert settled(prepared, arrays).config.precision in ("float32", "bf16")
    assert all(np.array_equal(arrays[name], copies[name]) for name in arrays)


@pytest.mark.parametrize("chosen", ["float32", "bf16"])
def test_a_run_says_what_was_chosen_and_goes_on_with_it(chosen: str, tmp_path: Path, monkeypatch):
    plain = trained(tmp_path / "plain", precision=chosen, schedule="constant")
    _take({"float32": 2.0, "bf16": 1.0} if chosen == "bf16" else {"float32": 1.0, "bf16": 2.0}, monkeypatch)
    run = trained(tmp_path / "run", precision="auto", schedule="constant")
    assert run.config.precision == chosen
    assert bits(run) == bits(plain)
    _take({"float32": 1.0, "bf16": 2.0} if chosen == "bf16" else {"float32": 2.0, "bf16": 1.0}, monkeypatch)
    assert resume(run.path, {"epochs": 3}, display=Recorder()).config.precision == chosen
