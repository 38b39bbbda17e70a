"""Fixtures that several folders of tests share.

Golden texts: what is printed is compared, byte for byte, with a reviewed file in tests/golden. After a wanted change
write the files anew with ``VERYDEEP_UPDATE_GOLDEN=1 pytest`` and review the difference.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

from verydeep.engine import library

# Where CI is set every run draws the same cases; anywhere else each run looks for new ones.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")

GOLDEN = Path(__file__).parent / "golden"

# Words in the reasons for which a machine of CI may skip a test.
MAY_LACK = ("strace", "/dev/full", "/proc", "mount", "C++ compiler")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI a framework or the real images must not be missing: a test skipped for that is a failure."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if not os.environ.get("CI") or reporter is None:  # a worker of pytest-xdist reports nothing itself
        return
    reasons = {str(report.longrepr[2]) for report in reporter.stats.get("skipped", [])}
    if unexpected := sorted(reason for reason in reasons if not any(word in reason for word in MAY_LACK)):
        reporter.write_line(f"skipped in CI: {'; '.join(unexpected)}", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real images: VERYDEEP_DATA, or ../shared/data beside the repository."""
    folder = Path(os.environ.get("VERYDEEP_DATA") or Path(__file__).parents[2] / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no real images: {folder} is absent (set VERYDEEP_DATA)")
    return folder


@pytest.fixture
def golden() -> Callable[[str, str], None]:
    """Compares a text with the reviewed file of a name."""

    def compare(name: str, text: str) -> None:
        file = GOLDEN / name
        if os.environ.get("VERYDEEP_UPDATE_GOLDEN"):
            file.write_text(text, encoding="utf-8")
        assert text == file.read_text(encoding="utf-8"), f"tests/golden/{name} differs; see tests/conftest.py"

    return compare


@pytest.fixture
def compiled() -> None:
    """The kernels are here; where there is a compiler they must be."""
    if (why := library.why_not()) is not None:
        if not any(map(shutil.which, ("c++", "g++", "clang++"))):
            pytest.skip("no kernels without a C++ compiler")
        pytest.fail(f"{why}; run pip install -e . again")
