"""Runs without their report page, whose figures take longer than these trainings and have tests of their own."""

import pytest

from verydeep.record import publish


@pytest.fixture(scope="module", autouse=True)  # not of the session: other folders' tests may follow in this process
def without_report_pages():
    """The trainings of a file here write no report.html."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(publish, "write_report", lambda *_, **__: None)
        yield
