"""What a model is on a hub: a repository, the few files in it, and who may ask for them."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from verydeep.errors import ConfigError
from verydeep.run_files import CARD, CONFIG, MODEL, RESULT

ENDPOINT = "https://huggingface.co"
ENDPOINT_VARIABLE = "HF_ENDPOINT"  # both as the hub's own tools call them
TOKEN_VARIABLE = "HF_TOKEN"

NAME = re.compile(r"(?!.*(\.\.|--))[A-Za-z0-9]([\w.-]{0,94}\w)?(/[A-Za-z0-9]([\w.-]{0,94}\w)?)?", re.ASCII)
TOKEN = re.compile(r"[!-~]{1,500}")  # one word, which can be a header's


@dataclass(frozen=True, slots=True)
class Shared:
    """One file that goes to a hub and comes back; nothing else does."""

    local: str  # its name in a run folder
    remote: str  # its name in the repository
    most: int  # bytes that are taken from a hub


SHARED = (
    Shared(CARD, "README.md", most=1 << 20),  # where the hub looks for a model's card
    Shared(CONFIG, CONFIG, most=100_000),  # as much as is read of any settings
    Shared(RESULT, RESULT, most=64 << 20),  # the confusion matrix of 1,000 classes takes 6 MB
    Shared(MODEL, MODEL, most=8 << 30),  # VGG-19 takes 0.6 GB
)


def endpoint() -> str:
    """The address of the hub: HF_ENDPOINT, or huggingface.co; ConfigError unless it is one of http."""
    address = (os.environ.get(ENDPOINT_VARIABLE) or ENDPOINT).rstrip("/")
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(
            f"{ENDPOINT_VARIABLE} is {address!r:.100}, no address of a hub",
            code="HUB-ENDPOINT",
            hint=f"Unset it, or give one such as {ENDPOINT}.",
        )
    return address


def checked_name(repo: str) -> str:
    """The name of a repository, if it can be one; ConfigError otherwise."""
    if not NAME.fullmatch(repo):
        raise ConfigError(
            f"{repo!r:.100} is no repository's name", code="HUB-NAME", hint="Give OWNER/NAME, as in me/vgg16-flowers."
        )
    return repo


def read_token(file: Path | None) -> str | None:
    """Who asks: the word in `file`, or else in HF_TOKEN; None: nobody in particular. Nothing else is looked at.

    Raises:
        ConfigError: the file cannot be read, or holds no token.
    """
    try:
        text = os.environ.get(TOKEN_VARIABLE, "") if file is None else file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        detail = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ConfigError(
            f"--token-file {file} cannot be read: {detail}", code="HUB-TOKEN", hint="Name a file that holds the token."
        ) from None
    word = text.strip()
    if (word or file is not None) and not TOKEN.fullmatch(word):
        where = TOKEN_VARIABLE if file is None else str(file)
        raise ConfigError(f"{where} holds no token", code="HUB-TOKEN", hint="A token is one word.")
    return word or None
