"""Runs without their report page, whose figures take longer than these trainings and have tests of their own."""

import pytest

from verydeep.record import publish


@pytest.fixture(scope="session", autouse=True)
def without_report_pages():
    """The trainings of this process write no report.html."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(publish, "write_report", lambda *_, **__: None)
        yield
