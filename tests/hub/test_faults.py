"""WTS-11: whatever a server does to a download, the folder holds verified files alone, and the next try succeeds.

30 trials here; scripts/nightly makes them 300, drawn anew.
"""

import hashlib
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cli.command import command, environment
from tests.hub.fake_hub import Ask, FakeHub, Fault
from verydeep.errors import WeightsError
from verydeep.hub.pull import pull
from verydeep.hub.repository import SHARED

SEED = int(os.environ.get("VERYDEEP_SEED", "0"))
TRIALS = min(300, int(os.environ.get("VERYDEEP_TRIALS", "2000")) * 30 // 2000)
PATIENCE = 0.4  # seconds; 20 where people use it


@dataclass(frozen=True, slots=True)
class Case:
    """One trial: what goes wrong, with which file, after how many of its bytes."""

    kind: str
    file: str  # its name on the hub
    after: float  # share of its bytes


def cases() -> list[Case]:
    """Every kind of fault as often, at places drawn anew."""
    stream = random.Random(SEED)
    names = [shared.remote for shared in SHARED]
    return [Case(list(FAULTS)[i % len(FAULTS)], stream.choice(names), stream.random()) for i in range(TRIALS)]


def cut(ask: Ask, content: bytes, after: int) -> None:
    ask.head(200, length=len(content))
    ask.wfile.write(content[:after])


def stall(ask: Ask, content: bytes, after: int) -> None:
    cut(ask, content, after)
    ask.wfile.flush()
    ask.server.over.wait(60)


def stall_in_silence(ask: Ask, content: bytes, after: int) -> None:
    del content, after
    ask.server.over.wait(60)


def drip(ask: Ask, content: bytes, after: int) -> None:
    """Bytes one by one, so that no single wait is long, and enough of them to be long together."""
    after = min(after, len(content) // 2)
    cut(ask, content, after)
    for byte in content[after:]:
        ask.wfile.write(bytes([byte]))
        ask.wfile.flush()
        if ask.server.over.wait(0.05):
            return


def drip_headers(ask: Ask, content: bytes, after: int) -> None:
    del content, after
    ask.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
    while not ask.server.over.wait(0.05):
        ask.wfile.write(b"x")
        ask.wfile.flush()


def page(ask: Ask, content: bytes, after: int) -> None:
    del content, after
    ask.answer(
        200, b"<!doctype html><title>Log in to the hotel's network</title>" * 20, **{"Content-Type": "text/html"}
    )


def other_bytes(ask: Ask, content: bytes, after: int) -> None:
    place = min(after, len(content) - 1)
    ask.content(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])


def too_many(ask: Ask, content: bytes, after: int) -> None:
    ask.content(content + content[:after] + b"x")


def too_few(ask: Ask, content: bytes, after: int) -> None:
    ask.answer(200, content[: min(after, len(content) - 1)])


def other_range(ask: Ask, content: bytes, after: int) -> None:
    ask.answer(206, content[after:], **{"Content-Range": f"bytes {after}-{len(content) - 1}/{len(content)}"})


def broken(ask: Ask, content: bytes, after: int) -> None:
    del content, after
    ask.json({"error": "over capacity"}, status=503)


def noise(ask: Ask, content: bytes, after: int) -> None:
    ask.wfile.write(content[after:])


def to(target: str) -> Callable[[Ask, bytes, int], None]:
    """Sends us there."""

    def redirect(ask: Ask, content: bytes, after: int) -> None:
        del content, after
        ask.answer(302, b"", Location=target.replace("{port}", str(ask.server.server_port)))

    return redirect


REDIRECTS = {
    target: to(target)
    for target in (
        "file:///etc/passwd",
        "ftp://127.0.0.1/model.safetensors",
        "http://127.0.0.1:9/model.safetensors",
        "http://localhost:{port}/store/x",
        "https://127.0.0.1:{port}/store/x",
        "https://[::1]/x",
        "https://[::ffff:10.0.0.1]/x",
        "https://169.254.169.254/latest/meta-data/",
        "https://10.0.0.1/x",
        "https://224.0.0.1/x",
        "//127.0.0.1:9/x",
        "/store/../me/digits/resolve/main/model.safetensors",
        "https://127.0.0.1:99999/x",
        "",
    )
}

FAULTS: dict[str, Callable[[Ask, bytes, int], None]] = {
    "cut": cut,
    "stall": stall,
    "stall in silence": stall_in_silence,
    "drip": drip,
    "drip headers": drip_headers,
    "page": page,
    "other bytes": other_bytes,
    "too many": too_many,
    "too few": too_few,
    "broken": broken,
    "noise": noise,
    **{f"to {target or 'nowhere'}": redirect for target, redirect in REDIRECTS.items()},
}


def fault(case: Case, content: bytes) -> Fault:
    """The fault of a case, for requests of its file alone."""
    after, kept = round(case.after * (len(content) - 1)), hashlib.sha256(content).hexdigest()

    def happens(ask: Ask) -> bool:
        if not ask.path.partition("?")[0].endswith((case.file, kept)):
            return False
        FAULTS[case.kind](ask, content, after)
        return True

    return happens


def verified(folder: Path, files: dict[str, bytes]) -> bool:
    """Whether a folder holds all files as they are on the hub, and nothing else."""
    found = {path.name: path.read_bytes() for path in folder.iterdir()}
    return found == {shared.local: files[shared.remote] for shared in SHARED}


@pytest.mark.parametrize("case", cases(), ids=lambda case: f"{case.kind}, {case.file}, {case.after:.2f}")
def test_nothing_unverified_is_left_and_the_next_try_succeeds(
    hub: FakeHub, model: str, files: dict[str, bytes], in_an_empty_folder: Path, case: Case
):
    hub.fault = fault(case, files[case.file])
    began = time.monotonic()
    with pytest.raises(WeightsError) as refused:
        pull(model, patience=PATIENCE)
    assert time.monotonic() - began < PATIENCE + 5
    assert "\n" not in str(refused.value)
    assert refused.value.code.startswith("HUB-")
    assert not Path("digits").exists()
    hub.fault = None
    assert verified(pull(model), files)
    assert [path.name for path in in_an_empty_folder.iterdir()] == ["digits"]


CODES = {
    "cut": "HUB-UNREACHABLE",
    "stall": "HUB-STALLED",
    "stall in silence": "HUB-STALLED",
    "drip": "HUB-STALLED",
    "drip headers": "HUB-STALLED",
    "page": "HUB-HASH",
    "other bytes": "HUB-HASH",
    "too many": "HUB-HASH",
    "too few": "HUB-HASH",
    "broken": "HUB-ANSWER",
    "noise": "HUB-UNREACHABLE",
}


@pytest.mark.parametrize("kind", CODES)
def test_what_went_wrong_is_told(hub: FakeHub, model: str, files: dict[str, bytes], kind: str):
    hub.fault = fault(Case(kind, "model.safetensors", 0.5), files["model.safetensors"])
    with pytest.raises(WeightsError) as refused:
        pull(model, patience=PATIENCE)
    assert refused.value.code == CODES[kind]


@pytest.mark.parametrize("target", REDIRECTS)
def test_no_redirect_leads_away_from_the_hub_but_to_the_internet(
    hub: FakeHub, model: str, files: dict[str, bytes], target: str
):
    hub.fault = fault(Case(f"to {target or 'nowhere'}", "model.safetensors", 0), files["model.safetensors"])
    with pytest.raises(WeightsError) as refused:
        pull(model, patience=PATIENCE)
    goes_on = target in ("", "/store/../me/digits/resolve/main/model.safetensors")  # round in a circle, on the hub
    if target != "https://127.0.0.1:99999/x":  # no address at all
        assert refused.value.code == "HUB-REDIRECT", refused.value
    assert len([path for _, path, _ in hub.asked if "model.safetensors" in path]) == (6 if goes_on else 1)


def test_a_file_without_end_is_not_read_to_its_end(hub: FakeHub, model: str):
    sent: list[int] = []

    def endless(ask: Ask) -> bool:
        if not ask.path.endswith("model.safetensors"):
            return False
        ask.head(200, length=50_000_000)
        try:
            for _ in range(500):
                sent.append(ask.wfile.write(bytes(100_000)))
        except OSError:
            pass  # nobody reads any more
        return True

    hub.fault = endless
    with pytest.raises(WeightsError, match=r"more than its .* bytes come"):
        pull(model)
    assert sum(sent) < 25_000_000


def test_what_has_arrived_is_not_fetched_again(hub: FakeHub, model: str, files: dict[str, bytes]):
    content = files["model.safetensors"]
    for after in (0.3, 0.0, 0.8):  # the second is cut before anything new
        start = max((path.stat().st_size for path in Path().glob(".digits.pulling/*/model.safetensors")), default=0)
        hub.fault = fault(Case("cut", "model.safetensors", after), content) if not start else _cut_range(content, after)
        with pytest.raises(WeightsError, match="broke off"):
            pull(model)
    kept = next(Path().glob(".digits.pulling/*/model.safetensors")).stat().st_size
    assert kept > 0.8 * len(content) - 1
    hub.fault = None
    hub.asked.clear()
    assert verified(pull(model), files)
    ranges = [headers["Range"] for _, path, headers in hub.asked if "Range" in headers]
    assert ranges == [f"bytes={kept}-"] * 2  # to the hub, and to where it keeps the file
    assert not [path for _, path, _ in hub.asked if path.endswith("README.md")]


def _cut_range(content: bytes, after: float) -> Fault:
    def happens(ask: Ask) -> bool:
        begin = int(ask.headers.get("Range", "bytes=0-")[6:-1])
        if not begin:
            return False
        ask.head(206, length=len(content) - begin, **{"Content-Range": f"bytes {begin}-/{len(content)}"})
        ask.wfile.write(content[begin : max(begin, round(after * len(content)))])
        return True

    return happens


def test_a_server_that_cannot_begin_in_the_middle_begins_again(hub: FakeHub, model: str, files: dict[str, bytes]):
    content = files["model.safetensors"]
    hub.fault = fault(Case("cut", "model.safetensors", 0.7), content)
    with pytest.raises(WeightsError):
        pull(model)
    hub.fault = lambda ask: ask.path.startswith("/store/") and ask.answer(200, content) is None
    assert verified(pull(model), files)


def test_another_place_than_was_asked_for_is_not_joined_on(hub: FakeHub, model: str, files: dict[str, bytes]):
    content = files["model.safetensors"]
    hub.fault = fault(Case("cut", "model.safetensors", 0.7), content)
    with pytest.raises(WeightsError):
        pull(model)
    hub.fault = lambda ask: ask.path.startswith("/store/") and other_range(ask, content, 5) is None
    with pytest.raises(WeightsError, match="not what is from byte"):
        pull(model)
    hub.fault = None
    assert verified(pull(model), files)


def test_what_came_of_another_commit_is_not_joined_on(hub: FakeHub, model: str, files: dict[str, bytes]):
    hub.fault = fault(Case("cut", "model.safetensors", 0.7), files["model.safetensors"])
    with pytest.raises(WeightsError):
        pull(model)
    hub.fault = None
    hub.repositories[model].commit({"README.md": b"newer"})
    assert verified(pull(model), files | {"README.md": b"newer"})
    assert [path.name for path in Path().iterdir()] == ["digits"]


def test_a_client_that_is_killed_leaves_nothing_unverified_and_the_next_one_succeeds(
    hub: FakeHub, model: str, files: dict[str, bytes], in_an_empty_folder: Path
):
    variables = {name: os.environ[name] for name in ("HF_ENDPOINT", "HF_TOKEN", "NO_PROXY")}
    for number in range(max(2, TRIALS // 15)):
        content = files["model.safetensors"]
        hub.fault = fault(Case("stall", "model.safetensors", random.Random(SEED + number).random()), content)
        asked = len(hub.asked)
        client = subprocess.Popen(
            command("pull", model), env=environment(**variables), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        until = time.monotonic() + 60
        while not [path for _, path, _ in hub.asked[asked:] if path.endswith("model.safetensors")]:
            assert time.monotonic() < until and client.poll() is None
            time.sleep(0.01)
        time.sleep(0.05)
        client.send_signal(signal.SIGKILL)
        client.communicate()
        assert not Path("digits").exists()
    hub.fault = None
    assert verified(pull(model), files)
    assert [path.name for path in in_an_empty_folder.iterdir()] == ["digits"]
