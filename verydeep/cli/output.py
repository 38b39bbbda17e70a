"""Where a command's text goes: to the terminal, or to a file."""

import sys
from pathlib import Path

from verydeep.errors import ConfigError


def write_text(text: str, out: Path | None) -> None:
    """Print `text`, or write it to `out`; ConfigError where the file cannot be written."""
    text = text if text.endswith("\n") else f"{text}\n"
    if out is None:
        print(text, end="")
        return
    try:
        out.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise ConfigError(f"--out {out} cannot be written: {error.strerror}", code="OUT") from None


def write_engine(name: str, *, reason: str = "") -> None:
    """Say on standard error which engine computed, and with how many threads."""
    from verydeep.record.machine import threads

    count = threads()
    counted = "" if count is None else f", {count} thread{'' if count == 1 else 's'}"
    print(f"engine: {name}{counted}{f' ({reason})' if reason else ''}", file=sys.stderr)
