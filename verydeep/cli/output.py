"""Where a command's text goes: to the terminal, or to a file."""

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
