"""A run's model to a hub: weights, card, settings and result; no checkpoints, and no places of this machine."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import httpx2
import yaml
from huggingface_hub import CommitOperationAdd, HfApi, constants
from huggingface_hub.errors import HfHubHTTPError

from verydeep.errors import ConfigError, VerificationError, WeightsError
from verydeep.hub.fetch import PATIENCE
from verydeep.hub.pull import digest, wanted
from verydeep.hub.repository import SHARED, checked_name, endpoint, read_token
from verydeep.record.words import data_name, settings
from verydeep.run import Run, open_run
from verydeep.run_files import CARD, CONFIG, MODEL, RESULT


def push(
    run: Run | str | Path,
    repo: str,
    *,
    visibility: Literal["public", "private"] = "public",
    token_file: Path | None = None,
) -> str:
    """Give a run's model to a hub, in one commit that is checked afterwards; the commit's address.

    Args:
        run: A run or its folder.
        repo: OWNER/NAME; made where it does not exist, otherwise its other files stay.
        visibility: Of a repository that is made. Nothing goes to a public one where "private" is asked for.
        token_file: Holds the token of one who may write there; None takes HF_TOKEN.

    Raises:
        ConfigError: no finished run there, no such name can be, no token, or the repository is public.
        WeightsError: the hub refuses, cannot be reached, or breaks off.
        VerificationError: the hub has something else than was sent.
    """
    opened = run if isinstance(run, Run) else open_run(run)
    name, token = _owned(repo), read_token(token_file)
    if token is None:
        raise ConfigError(
            "there is no token for the hub", code="HUB-TOKEN", hint="Set HF_TOKEN, or name its file with --token-file."
        )
    with TemporaryDirectory() as place:
        files = _files(opened, place=Path(place))
        with _told(name), _plain_http():
            api = HfApi(endpoint(), token=token, headers={"user-agent": f"verydeep/{version('verydeep')}"})
            api.create_repo(name, private=True if visibility == "private" else None, exist_ok=True)
            if visibility == "private" and not api.model_info(name).private:
                raise ConfigError(
                    f"{name} is there already, and public; nothing was sent",
                    code="HUB-PUBLIC",
                    hint="Choose another name, or make it private first.",
                )
            additions = [CommitOperationAdd(remote, str(path)) for remote, path in files.items()]
            commit = api.create_commit(name, additions, commit_message=f"{opened.network.name}, by verydeep push")
        _verify(name, files, commit=commit.oid, token=token)
    return str(commit.commit_url)


def _owned(repo: str) -> str:
    if "/" not in checked_name(repo):
        raise ConfigError(f"{repo} has no owner", code="HUB-NAME", hint=f"Give OWNER/NAME, as in me/{repo}.")
    return repo


def _files(run: Run, *, place: Path) -> dict[str, Path]:
    """Each file by its name on the hub; those that told where this machine has what are written anew in `place`."""
    config = run.config
    for name in (MODEL, CARD):
        if not (run.path / name).is_file():
            raise ConfigError(
                f"the run in {run.path} has no {name}", code="HUB-INCOMPLETE", hint="`verydeep report` writes the card."
            )
    (place / CONFIG).write_text(yaml.safe_dump(settings(config), sort_keys=False), encoding="utf-8")
    result = json.dumps(run.result | {"data": data_name(config)}, indent=2)
    (place / RESULT).write_text(f"{result}\n", encoding="utf-8")
    own = {CONFIG: place, RESULT: place}
    return {shared.remote: own.get(shared.local, run.path) / shared.local for shared in SHARED}


def _verify(repo: str, files: dict[str, Path], *, commit: str, token: str) -> None:
    """What the hub lists in the new commit is what was sent: a .gitignore there can drop a file without a word."""
    _, there = wanted(repo, revision=commit, token=token, patience=PATIENCE)
    found = {file.local: file for file in there}
    for shared in SHARED:
        file = found.get(shared.local)
        if file is None or digest(files[shared.remote], kind=file.kind) != file.digest:
            raise VerificationError(
                f"{repo} has no {shared.remote} as it was sent", code="HUB-OTHER", hint="Look at the repository."
            )


@contextmanager
def _plain_http() -> Iterator[None]:
    """Upload as git-lfs does: Xet's client is a second network stack, which no test of ours can follow."""
    before = constants.HF_HUB_DISABLE_XET
    constants.HF_HUB_DISABLE_XET = True
    try:
        yield
    finally:
        constants.HF_HUB_DISABLE_XET = before


@contextmanager
def _told(repo: str) -> Iterator[None]:
    """The hub's many errors as one of ours."""
    try:
        yield
    except (httpx2.HTTPError, OSError, ValueError, RuntimeError) as error:
        cause = error.__cause__ if isinstance(error, RuntimeError) and error.__cause__ else error
        if isinstance(cause, HfHubHTTPError) and cause.response.status_code in (401, 403):
            raise ConfigError(
                f"the hub does not let this token write to {repo}",
                code="HUB-TOKEN",
                hint="Give one with the right to write there.",
            ) from None
        lines = str(cause).strip().splitlines() or [type(cause).__name__]
        raise WeightsError(
            f"{repo} could not be written: {lines[0][:300]}",
            code="HUB-UPLOAD",
            hint="Try again later; what is there is as it was.",
        ) from None
