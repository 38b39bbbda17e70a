"""What pull takes from a hub and what it refuses; how a download is cut off is tried in test_faults.py."""

import io
import os
import shutil
import socket
import subprocess
import sys
from email.message import Message
from pathlib import Path
from types import SimpleNamespace
from urllib.error import HTTPError

import numpy as np
import pytest
from safetensors.numpy import save as to_bytes

from tests.cli.command import environment
from tests.hub.fake_hub import TOKEN, FakeHub, Repository, entry
from verydeep.errors import ConfigError, ResourceError, WeightsError
from verydeep.hub import fetch
from verydeep.hub.pull import _part, pull
from verydeep.training.lock import lock
from verydeep.weights import canonical


def names(folder: str) -> list[str]:
    """What lies in a folder."""
    return sorted(path.name for path in Path(folder).iterdir())


# Which repository, which revision, where to


def test_the_folder_is_called_as_the_repository_or_as_is_asked(hub, model, in_an_empty_folder):
    assert pull(model) == Path("digits")
    assert pull(model, out="a/b/mine") == Path("a/b/mine")
    (in_an_empty_folder / "empty").mkdir()
    assert pull(model, out="empty") == Path("empty")
    assert names(".") == ["a", "digits", "empty"]
    assert names("digits") == ["MODEL_CARD.md", "config.yaml", "model.safetensors", "result.json"]


def test_a_folder_that_holds_anything_is_left_alone(hub, model):
    for make in (lambda: Path("digits").write_text("mine"), lambda: Path("digits").symlink_to("nowhere")):
        make()
        with pytest.raises(ConfigError, match="digits is there already") as refused:
            pull(model)
        assert refused.value.code == "OUT-TAKEN"
        Path("digits").unlink()
    Path("digits").mkdir()
    (Path("digits") / "a").touch()
    with pytest.raises(ConfigError, match="digits is there already"):
        pull(model)
    assert hub.asked == []


def test_a_revision_is_a_branch_or_a_commit_with_any_name(hub, model, files):
    first = list(hub.repositories[model].commits)[-1]
    hub.repositories[model].commit({"README.md": b"newer"})
    hub.repositories[model].branches["refs/pr/1"] = first
    for number, (revision, card) in enumerate(
        {first: files["README.md"], "main": b"newer", "refs/pr/1": files["README.md"]}.items()
    ):
        assert (pull(model, revision=revision, out=str(number)) / "MODEL_CARD.md").read_bytes() == card
    assert "/api/models/me/digits/revision/refs%2Fpr%2F1?blobs=true" in [path for _, path, _ in hub.asked]


@pytest.mark.parametrize(("repo", "revision"), [("me/nothing", "main"), ("nothing", "main"), ("me/digits", "v9")])
def test_what_is_not_there_is_told(hub, model, repo, revision):
    with pytest.raises(WeightsError, match="has no such repository or revision, or does not show it to us") as refused:
        pull(repo, revision=revision)
    assert refused.value.code == "HUB-REPOSITORY"
    assert names(".") == []


def test_other_files_of_a_repository_are_not_taken(hub, model):
    hub.repositories[model].commit({"run.py": b"print('hello')", "a/model.safetensors": b"x", "pickle.bin": b"\x80"})
    pull(model)
    assert names("digits") == ["MODEL_CARD.md", "config.yaml", "model.safetensors", "result.json"]


def test_the_hub_is_what_the_variable_says(model, monkeypatch):
    for wrong in ("file:///etc", "ftp://example.org", "huggingface.co", "http://"):
        monkeypatch.setenv("HF_ENDPOINT", wrong)
        with pytest.raises(ConfigError, match="no address of a hub"):
            pull(model)


def test_two_pulls_into_one_folder_do_not_mix(hub, model):
    Path(".digits.pulling").mkdir()
    with lock(Path(".digits.pulling")), pytest.raises(ConfigError, match="is in use by process"):
        pull(model)
    assert pull(model).is_dir()


def test_a_place_to_wait_that_is_not_ours_is_not_used(hub, model, tmp_path, monkeypatch):
    (tmp_path / "theirs").mkdir()
    Path(".digits.pulling").symlink_to(tmp_path / "theirs")
    with pytest.raises(ConfigError, match=r"\.digits\.pulling is a link or another user's") as refused:
        pull(model)
    assert refused.value.code == "OUT-TAKEN"
    assert list((tmp_path / "theirs").iterdir()) == []
    Path(".digits.pulling").unlink()
    Path(".digits.pulling").mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: Path().stat().st_uid + 1)
    with pytest.raises(ConfigError, match=r"\.digits\.pulling is a link or another user's"):
        pull(model)
    assert hub.asked == []


def test_what_arrives_is_not_written_through_a_link(hub, model, files, tmp_path):
    (tmp_path / "precious").write_bytes(b"precious")
    ready = Path(".digits.pulling") / list(hub.repositories[model].commits)[-1]
    ready.mkdir(parents=True)
    (ready / "model.safetensors").symlink_to(tmp_path / "precious")
    assert (pull(model) / "model.safetensors").read_bytes() == files["model.safetensors"]
    assert (tmp_path / "precious").read_bytes() == b"precious"
    (tmp_path / "link").symlink_to(tmp_path / "precious")
    with pytest.raises(OSError, match="symbolic links"):
        _part(tmp_path / "link")


def test_a_disk_without_room_is_found_before_anything_is_fetched(hub, model, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda place: SimpleNamespace(free=1000))
    with pytest.raises(ResourceError, match="not enough disk space"):
        pull(model)
    assert not [path for _, path, _ in hub.asked if "resolve" in path]
    assert names(".") == []


# The token


def test_the_token_is_sent_to_the_hub_and_is_in_no_message(hub, model, tmp_path, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    pull(model, out="nobody")
    assert not [headers for _, _, headers in hub.asked if "Authorization" in headers]
    (tmp_path / "token").write_text(f" {TOKEN}\n")
    pull(model, out="someone", token_file=tmp_path / "token")
    assert [headers for _, _, headers in hub.asked if headers.get("Authorization") == f"Bearer {TOKEN}"]
    hub.fault = lambda ask: ask.json({"error": TOKEN}, status=403) is None
    with pytest.raises(WeightsError) as refused:
        pull(model, out="refused", token_file=tmp_path / "token")
    assert TOKEN not in str(refused.value)


@pytest.mark.parametrize(
    "text", ["", "two words", "a\r\nX-Evil: 1", "caf\N{LATIN SMALL LETTER E WITH ACUTE}", "x" * 501]
)
def test_a_file_without_a_token_is_refused(hub, model, tmp_path, text):
    (tmp_path / "token").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match="holds no token"):
        pull(model, token_file=tmp_path / "token")
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        pull(model, token_file=tmp_path / "none")
    assert hub.asked == []


class Web:
    """Answers in place of the internet: an address, and where it redirects to or what it has."""

    def __init__(self, pages: dict[str, str | bytes]) -> None:
        self.pages = pages
        self.asked: list[tuple[str, str | None]] = []

    def open(self, request, timeout):
        self.asked.append((request.full_url, request.get_header("Authorization")))
        page = self.pages[request.full_url]
        if isinstance(page, str):
            headers = Message()
            headers["Location"] = page
            raise HTTPError(request.full_url, 302, "Found", headers, io.BytesIO())
        response = io.BytesIO(page)
        response.status, response.length = 200, len(page)
        return response


def resolved(monkeypatch, addresses: dict[str, str]) -> None:
    """These names stand for these addresses, and no others are known."""

    def find(host, port, **_):
        if host not in addresses:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (addresses[host], port))]

    monkeypatch.setattr(socket, "getaddrinfo", find)


def test_the_token_does_not_follow_a_redirect_to_another_server(monkeypatch):
    web = Web({"https://hub.org/a": "https://hub.org/b", "https://hub.org/b": "https://cdn.net/c"})
    web.pages["https://cdn.net/c"] = b"content"
    monkeypatch.setattr(fetch, "_opener", lambda **_: web)
    resolved(monkeypatch, {"cdn.net": "93.184.216.34"})
    assert fetch.small("https://hub.org/a", most=100, token="secret") == b"content"
    assert web.asked == [
        ("https://hub.org/a", "Bearer secret"),
        ("https://hub.org/b", "Bearer secret"),
        ("https://cdn.net/c", None),
    ]


@pytest.mark.parametrize("address", ["10.1.2.3", "127.0.0.1", "192.168.0.1", "100.64.0.1", "0.0.0.0", "224.0.0.1"])
def test_a_name_that_stands_for_a_private_address_is_not_followed(monkeypatch, address):
    web = Web({"https://hub.org/a": "https://inside.net/c", "https://inside.net/c": b"secret"})
    monkeypatch.setattr(fetch, "_opener", lambda **_: web)
    resolved(monkeypatch, {"inside.net": address})
    with pytest.raises(WeightsError, match=f"inside.net', which is {address}, no place on the internet"):
        fetch.small("https://hub.org/a", most=100)
    assert len(web.asked) == 1


def test_a_name_that_is_unknown_here_is_left_to_a_proxy_and_is_otherwise_not_followed(monkeypatch):
    web = Web({"https://hub.org/a": "https://cdn.net/c", "https://cdn.net/c": b"content"})
    monkeypatch.setattr(fetch, "_opener", lambda **_: web)
    resolved(monkeypatch, {})
    for name in ("https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(WeightsError, match=r"it sends us to 'cdn\.net', a name that is unknown here") as refused:
        fetch.small("https://hub.org/a", most=100)
    assert (refused.value.code, len(web.asked)) == ("HUB-REDIRECT", 1)
    monkeypatch.setenv("https_proxy", "http://proxy.org:3128")
    assert fetch.small("https://hub.org/a", most=100) == b"content"
    monkeypatch.setenv("no_proxy", "cdn.net")
    with pytest.raises(WeightsError, match="unknown here"):
        fetch.small("https://hub.org/a", most=100)


def test_a_name_that_stands_for_another_address_when_it_is_used_is_not_spoken_to(hub, model, monkeypatch):
    """DNS rebinding: public while it is looked at, and then this machine."""
    real, asked = socket.getaddrinfo, []

    def find(host, port, *others, **options):
        if host != "rebound.net":
            return real(host, port, *others, **options)
        asked.append(host)
        address = "93.184.216.34" if len(asked) == 1 else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", find)
    target = f"https://rebound.net:{hub.server_port}/secret"
    hub.fault = lambda ask: "model.safetensors" in ask.path and ask.answer(302, b"", Location=target) is None
    with pytest.raises(
        WeightsError, match=r"rebound\.net is not followed: it is 127\.0\.0\.1, no place on the"
    ) as refused:
        pull(model)
    assert refused.value.code == "HUB-REDIRECT"
    assert len(asked) == 2


def test_an_answer_that_breaks_the_reader_is_told_and_not_waited_for(monkeypatch):
    class Broken(Web):
        def open(self, request, timeout):
            raise LookupError("unknown encoding: evil")

    monkeypatch.setattr(fetch, "_opener", lambda **_: Broken({}))
    with pytest.raises(WeightsError, match=r"hub\.org: unknown encoding: evil") as refused:
        fetch.small("https://hub.org/a", most=100, patience=2)
    assert refused.value.code == "HUB-UNREACHABLE"


def test_a_public_server_without_https_is_not_followed(monkeypatch):
    web = Web({"http://hub.org/a": "http://cdn.net/c", "http://cdn.net/c": b"content"})
    monkeypatch.setattr(fetch, "_opener", lambda **_: web)
    resolved(monkeypatch, {"cdn.net": "93.184.216.34"})
    with pytest.raises(WeightsError, match="which is not https"):
        fetch.small("http://hub.org/a", most=100)
    assert len(web.asked) == 1


# What the hub says of its files


def listed(hub: FakeHub, change) -> None:
    """Let the hub tell something else of its files."""

    def told(ask) -> bool:
        if not ask.path.startswith("/api/"):
            return False
        found = hub.repositories["me/digits"].at("main")
        assert found is not None
        value = {"sha": found[0], "siblings": [entry(name, content) for name, content in found[1].items()]}
        ask.json(change(value))
        return True

    hub.fault = told


def of_model(value, **changes):
    """The listing with other entries for the model."""
    for one in value["siblings"]:
        if one["rfilename"] == "model.safetensors":
            one.update(changes)
    return value


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda value: [], "HUB-ANSWER"),
        (lambda value: "x", "HUB-ANSWER"),
        (lambda value: value | {"sha": "main"}, "HUB-ANSWER"),
        (lambda value: value | {"sha": "../" * 13 + "x"}, "HUB-ANSWER"),
        (lambda value: value | {"sha": None}, "HUB-ANSWER"),
        (lambda value: value | {"siblings": None}, "HUB-ANSWER"),
        (lambda value: value | {"siblings": [{}]}, "HUB-ANSWER"),
        (lambda value: value | {"siblings": []}, "HUB-CONTENT"),
        (lambda value: of_model(value, size=-1), "HUB-ANSWER"),
        (lambda value: of_model(value, size=True), "HUB-ANSWER"),
        (lambda value: of_model(value, size="5"), "HUB-ANSWER"),
        (lambda value: of_model(value, size=None), "HUB-ANSWER"),
        (lambda value: of_model(value, size=2**62), "HUB-CONTENT"),
        (lambda value: of_model(value, size=4000), "HUB-HASH"),
        (lambda value: of_model(value, lfs={}), "HUB-ANSWER"),
        (lambda value: of_model(value, lfs={"sha256": "0" * 63}), "HUB-ANSWER"),
        (lambda value: of_model(value, lfs={"sha256": 5}), "HUB-ANSWER"),
        (lambda value: of_model(value, lfs={"sha256": "0" * 64}), "HUB-HASH"),
        (lambda value: of_model(value, lfs=None, blobId="0" * 40), "HUB-HASH"),
        (lambda value: of_model(value, lfs=None, blobId=None), "HUB-ANSWER"),
    ],
)
def test_a_listing_that_lies_is_refused(hub, model, change, code):
    listed(hub, change)
    with pytest.raises(WeightsError) as refused:
        pull(model)
    assert refused.value.code == code
    assert not Path("digits").exists()
    assert names(".") == [] or code == "HUB-HASH"


def test_a_listing_without_end_is_not_read_to_the_end(hub, model, monkeypatch):
    monkeypatch.setattr("verydeep.hub.pull.MOST_LISTED", 100_000)
    listed(hub, lambda value: value | {"more": "x" * 300_000})
    with pytest.raises(WeightsError, match="answers with more than 100,000 bytes"):
        pull(model)


@pytest.mark.parametrize("text", ["<html>", "[" * 100_000, '{"sha": NaN}', "\ud800"])
def test_a_listing_that_is_no_json_is_refused(hub, model, text):
    hub.fault = lambda ask: ask.answer(200, text.encode(errors="surrogatepass")) is None
    with pytest.raises(WeightsError, match="is not understood") as refused:
        pull(model)
    assert len(str(refused.value)) < 300


# What the files hold


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("model.safetensors", to_bytes({"a": np.zeros(2000, np.float32)}), "has no 'verydeep' record"),
        ("model.safetensors", b"\x80\x04" + bytes(5000), "cannot be read as a safetensors file"),
        ("config.yaml", b"!!python/object/apply:os.system ['touch hacked']", "config.yaml is not YAML"),
        ("config.yaml", b"nonsense: 1", "there is no option 'nonsense'"),
    ],
)
def test_a_model_that_is_not_ours_is_refused_and_nothing_stays(hub, model, name, content, said):
    hub.repositories[model].commit({name: content})
    with pytest.raises(WeightsError, match=f"what the hub has is no model of ours: .*{said}") as refused:
        pull(model)
    assert refused.value.code == "HUB-CONTENT"
    assert names(".") == []


def test_a_model_that_does_not_say_how_images_become_its_input_is_refused(hub, model, run, tmp_path):
    canonical.save(tmp_path / "bare", network=run.network, weights=run.weights)
    hub.repositories[model].commit({"model.safetensors": (tmp_path / "bare").read_bytes()})
    with pytest.raises(WeightsError, match="does not say how images become its input") as refused:
        pull(model)
    assert refused.value.code == "HUB-CONTENT"
    assert names(".") == []


def test_a_model_whose_record_contradicts_its_network_is_refused(hub, model, run, tmp_path):
    record = run.preprocessing.to_json() | {"size": [5, 5], "crop": "center"}
    canonical.save(tmp_path / "other", network=run.network, weights=run.weights, preprocessing=record)
    hub.repositories[model].commit({"model.safetensors": (tmp_path / "other").read_bytes()})
    with pytest.raises(WeightsError, match=r"its preprocessing makes .* x 5 x 5, and the network reads"):
        pull(model)
    assert names(".") == []


def test_files_larger_than_any_that_push_writes_are_not_fetched(hub, model):
    hub.repositories[model].commit({"config.yaml": b"# " + b"x" * 200_000})
    with pytest.raises(WeightsError, match=r"config\.yaml has 200,002 bytes there, and at most 100,000 are taken"):
        pull(model)
    assert not [path for _, path, _ in hub.asked if "resolve" in path]


def test_a_repository_with_a_model_alone_is_enough(hub, model, files):
    hub.repositories["me/bare"] = Repository()
    hub.repositories["me/bare"].commit({"model.safetensors": files["model.safetensors"]})
    assert [path.name for path in pull("me/bare").iterdir()] == ["model.safetensors"]


def test_no_framework_and_no_client_of_the_hub_is_loaded_to_pull(hub, model):
    script = """
import sys
from verydeep.cli.main import main
try:
    main(["pull", "me/digits"])
finally:
    print({"torch", "huggingface_hub", "httpx2"} & set(sys.modules), file=sys.stderr)
"""
    variables = {name: os.environ[name] for name in ("HF_ENDPOINT", "HF_TOKEN", "NO_PROXY")}
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == "digits\n"
    assert done.stderr.splitlines()[-1] == "set()"
