"""Every failure says what is wrong in one line and carries a code and an exit status that scripts can test."""

import pytest

from verydeep import errors
from verydeep.errors import ConfigError, DataError, SpecError, VerydeepError

EXIT_CODES = {
    "VerydeepError": 1,
    "ConfigError": 2,
    "SpecError": 2,
    "DataError": 3,
    "WeightsError": 4,
    "NumericalError": 5,
    "ResourceError": 6,
    "WorkerError": 7,
    "VerificationError": 8,
}


@pytest.mark.parametrize(("name", "exit_code"), EXIT_CODES.items())
def test_each_kind_of_failure_has_its_exit_code(name: str, exit_code: int):
    assert getattr(errors, name).exit_code == exit_code


def test_no_kind_of_failure_is_missing_from_this_list():
    found = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and value.__module__ == "verydeep.errors"
    }
    assert found == set(EXIT_CODES)


@pytest.mark.parametrize("name", EXIT_CODES)
def test_every_failure_is_caught_as_a_verydeep_error(name: str):
    assert issubclass(getattr(errors, name), VerydeepError)


def test_a_wrong_network_is_also_a_wrong_option_and_a_wrong_value():
    assert issubclass(SpecError, ConfigError)
    assert issubclass(SpecError, ValueError)
    assert SpecError("no").code == "SPEC-INVALID"


def test_the_hint_follows_the_message_as_a_sentence_of_its_own():
    error = DataError("train.npz is missing", code="DATA-MISSING", hint="Run `verydeep download`.")
    assert str(error) == "train.npz is missing. Run `verydeep download`."
    assert str(DataError("train.npz is missing.", code="DATA-MISSING", hint="Look.")) == "train.npz is missing. Look."


def test_without_a_hint_the_message_stands_alone():
    assert str(DataError("train.npz is missing", code="DATA-MISSING")) == "train.npz is missing"


def test_the_printed_line_is_one_line_whatever_the_message_holds():
    error = DataError("two\nlines\tand a\r\ntab", code="DATA-BROKEN", hint="Look\nhere.")
    assert error.line() == "verydeep: error[DATA-BROKEN]: two lines and a tab. Look here."
