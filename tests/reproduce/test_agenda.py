"""The order of tasks, and what is left out when a training diverges."""

from pathlib import Path

import pytest

from tests.reproduce.tiny import tiny
from verydeep.errors import DataError, NumericalError
from verydeep.reproduce.agenda import Agenda
from verydeep.reproduce.declared import Trained
from verydeep.reproduce.experiments import Pass, Training, Wanted

A, B, OTHER = Training(Trained("A"), 0), Training(Trained("B"), 0), Training(Trained("A"), 1)
TESTED = Wanted(Pass(B, "dense", 8), None)
DIVERGED = NumericalError("step 3: the loss is not finite.", code="TRAIN-NONFINITE")


def test_what_needs_a_training_that_diverged_is_left_out_and_the_rest_is_done(tmp_path: Path):
    agenda = Agenda([A, B, TESTED, OTHER], tiny(tmp_path))
    assert agenda.next() == A
    assert agenda.fail(A, DIVERGED) == "A-8-seed-0: step 3: the loss is not finite"
    assert agenda.next() == OTHER
    assert agenda.next() is None
    with pytest.raises(NumericalError, match=r"A-8-seed-0: step 3.*; 2 tasks that needed .* left out") as refused:
        agenda.refuse_failed()
    assert (refused.value.code, refused.value.exit_code) == ("REPRODUCE-DIVERGED", 5)


def test_another_failure_ends_all(tmp_path: Path):
    agenda = Agenda([A, B], tiny(tmp_path))
    with pytest.raises(DataError, match="gone"):
        agenda.fail(A, DataError("gone", code="DATA-MISSING"))


def test_nothing_failed_is_no_error(tmp_path: Path):
    agenda = Agenda([A], tiny(tmp_path))
    agenda.next()
    agenda.refuse_failed()
