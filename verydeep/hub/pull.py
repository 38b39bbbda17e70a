"""A model from a hub: its few files, each checked against the hash that the hub names, or nothing at all."""

import hashlib
import json
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal
from urllib.parse import quote

from verydeep.durable import disk_errors, disk_full, free_bytes, make_folder, sync_folder
from verydeep.errors import ConfigError, WeightsError
from verydeep.hub import fetch
from verydeep.hub.repository import SHARED, Shared, checked_name, endpoint, read_token
from verydeep.run_files import CONFIG, MODEL
from verydeep.settings.sources import from_yaml
from verydeep.training.lock import lock
from verydeep.weights import canonical

MOST_LISTED = 16 << 20  # bytes of the list of a repository's files
COMMIT = re.compile(r"[0-9a-f]{40}")
ONLY_OURS = "Only models that `verydeep push` wrote can be pulled."


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file of a repository and what it must turn out to be."""

    local: str
    address: str
    size: int  # bytes
    kind: Literal["sha256", "git"]  # the hub names the SHA-256 of large files, and git's own hash of small ones
    digest: str


def pull(
    repo: str,
    *,
    revision: str = "main",
    out: str | Path | None = None,
    token_file: Path | None = None,
    patience: float = fetch.PATIENCE,
    say: Callable[[str], None] = lambda line: None,
) -> Path:
    """Take a model from a hub into a new folder, which `predict`, `evaluate` and `export` take.

    The folder appears when all of it is there and checked. Until then what has arrived waits in a hidden folder beside
    it, from which the same call goes on. Nothing of what comes is run.

    Args:
        repo: OWNER/NAME.
        revision: A branch, a tag or a commit.
        out: The folder, new or empty; None is NAME, here.
        token_file: Holds the token for a repository that is not public; None takes HF_TOKEN, if it is set.
        patience: Seconds after which a server that sends next to nothing counts as stalled.
        say: Is told what is being fetched.

    Raises:
        ConfigError: no repository can have this name, the folder is taken, or the file holds no token.
        WeightsError: the hub has no such repository, cannot be reached, stalls, or sends something else than it
            names; or the model is damaged, or none of ours.
        ResourceError: the disk is full or refuses.
    """
    name, token = checked_name(repo), read_token(token_file)
    folder = Path(out) if out is not None else Path(name.rpartition("/")[2])
    _refuse_taken(folder)
    place = folder.absolute().parent / f".{folder.absolute().name}.pulling"
    with disk_errors(place, bytes_needed=0), _staging(place):
        commit, files = wanted(name, revision=revision, token=token, patience=patience)
        ready = place / commit
        _prepare(place, ready=ready, files=files)
        for file in files:
            say(f"{file.local}, {file.size:,} bytes")
            _complete(ready / file.local, file, token=token, patience=patience)
        _check_content(ready)
        sync_folder(ready)
        _refuse_taken(folder)
        ready.replace(folder)
        sync_folder(place.parent)
    return folder


def wanted(repo: str, *, revision: str, token: str | None, patience: float) -> tuple[str, list[Wanted]]:
    """The commit that a revision is, and those of its files that are a model's; WeightsError as in `pull`."""
    base = endpoint()
    asked = f"{base}/api/models/{repo}/revision/{quote(revision, safe='')}?blobs=true"
    answer = fetch.small(asked, most=MOST_LISTED, token=token, patience=patience)
    try:
        listing = json.loads(answer)
        commit, listed = listing["sha"], {entry["rfilename"]: entry for entry in listing["siblings"]}
        if not COMMIT.fullmatch(commit):
            raise ValueError("its commit has no hash")
        address = f"{base}/{repo}/resolve/{commit}"
        files = [_wanted(one, listed[one.remote], address=address) for one in SHARED if one.remote in listed]
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise WeightsError(
            f"what the hub says of {repo} is not understood: {str(error)[:100]}", code="HUB-ANSWER", hint=fetch.AGAIN
        ) from None
    if MODEL not in listed:
        raise WeightsError(f"{repo} has no {MODEL}", code="HUB-CONTENT", hint=ONLY_OURS)
    return commit, files


def digest(path: Path, *, kind: Literal["sha256", "git"]) -> str:
    """The hash of a file; git's has a header in it (git-scm.com/book, Git Objects)."""
    begun = hashlib.sha256()
    if kind == "git":
        begun = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: begun).hexdigest()


def _wanted(shared: Shared, entry: Mapping[str, Any], *, address: str) -> Wanted:
    large, size = entry.get("lfs"), entry["size"]
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise ValueError(f"the size of {shared.remote}")
    if size > shared.most:
        raise WeightsError(
            f"{shared.remote} has {size:,} bytes there, and at most {shared.most:,} are taken",
            code="HUB-CONTENT",
            hint=ONLY_OURS,
        )
    digest = entry["blobId"] if large is None else large["sha256"]
    if not re.fullmatch(r"[0-9a-f]{40}" if large is None else r"[0-9a-f]{64}", digest):
        raise ValueError(f"the hash of {shared.remote}")
    return Wanted(shared.local, f"{address}/{shared.remote}", size, "git" if large is None else "sha256", digest)


@contextmanager
def _staging(place: Path) -> Iterator[None]:
    """The hidden folder, for this process alone; it goes when nothing waits in it."""
    make_folder(place)
    found = place.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise ConfigError(
            f"{place} is a link or another user's, and what arrives would wait there",
            code="OUT-TAKEN",
            hint="Remove it or choose another folder with --out.",
        )
    with lock(place):
        try:
            yield
        finally:
            waiting = [path for folder in place.iterdir() if folder.is_dir() for path in folder.iterdir()]
            if not waiting:
                shutil.rmtree(place)


def _prepare(place: Path, *, ready: Path, files: list[Wanted]) -> None:
    """Clear away what belongs to another commit or is longer than it may be, and see that the rest has room."""
    for other in place.iterdir():
        if other.is_dir() and other != ready:
            shutil.rmtree(other)
    make_folder(ready)
    sizes = {file.local: file.size for file in files}
    for path in ready.iterdir():
        if path.is_symlink() or path.stat().st_size > sizes.get(path.name, 0):
            path.unlink()
    needed = sum(sizes.values()) - sum(path.stat().st_size for path in ready.iterdir())
    if needed > free_bytes(place):
        raise disk_full(place, bytes_needed=needed)


def _complete(path: Path, file: Wanted, *, token: str | None, patience: float) -> None:
    """Fetch what of a file is not here yet; what breaks off is kept, and what turns out to be another is removed."""
    _part(path).close()
    try:
        if path.stat().st_size < file.size:
            _fetch(path, file, token=token, patience=patience)
        if digest(path, kind=file.kind) != file.digest:
            raise _other(file, "what came has another hash than the hub names")
    except WeightsError as error:
        if error.code == "HUB-HASH" or path.stat().st_size == 0:
            path.unlink()
        raise


def _fetch(path: Path, file: Wanted, *, token: str | None, patience: float) -> None:
    start = path.stat().st_size
    arriving = fetch.pieces(file.address, token=token, start=start, patience=patience)
    with _part(path) as target, closing(arriving):
        target.seek(start)
        for piece in arriving:
            if not piece:  # the server begins again
                target.seek(0)
                target.truncate()
            if target.tell() + len(piece) > file.size:
                raise _other(file, f"more than its {file.size:,} bytes come")
            target.write(piece)
        if target.tell() < file.size:
            raise _other(file, f"{target.tell():,} bytes come, not {file.size:,}")
        target.flush()
        os.fsync(target.fileno())


def _part(path: Path) -> BinaryIO:
    """A file that is begun or gone on with; OSError where the name is a link to another one."""
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666), "r+b")


def _check_content(folder: Path) -> None:
    """See that the model is whole and of ours, and so are the settings, if there are any."""
    try:
        model = canonical.load(folder / MODEL)
        if canonical.preprocessing_of(model.network, model.preprocessing) is None:
            raise WeightsError(f"{MODEL} does not say how images become its input", code="HUB-CONTENT")
        if (folder / CONFIG).exists():
            from_yaml(folder / CONFIG)
    except (WeightsError, ConfigError) as error:
        shutil.rmtree(folder)
        message = error.message.replace(f"{folder}/", "")
        raise WeightsError(
            f"what the hub has is no model of ours: {message}", code="HUB-CONTENT", hint=ONLY_OURS
        ) from None


def _refuse_taken(folder: Path) -> None:
    if folder.is_symlink() or (folder.exists() and not (folder.is_dir() and not any(folder.iterdir()))):
        raise ConfigError(f"{folder} is there already", code="OUT-TAKEN", hint="Choose a new folder with --out.")


def _other(file: Wanted, why: str) -> WeightsError:
    return WeightsError(
        f"{file.local}: {why}; it was thrown away", code="HUB-HASH", hint="Try again; if it stays so, tell its owner."
    )
