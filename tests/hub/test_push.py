"""What push sends, and what it never sends: a run given to a hub and taken back is the same to the bit."""

import json
import subprocess
import sys
from pathlib import Path

import huggingface_hub
import pytest
import yaml

from tests.hub.fake_hub import TOKEN, FakeHub, Repository, git_hash
from verydeep.errors import ConfigError, VerificationError, WeightsError
from verydeep.evaluation.evaluate import evaluate
from verydeep.hub.pull import pull
from verydeep.hub.push import push
from verydeep.run import Run, open_run
from verydeep.settings.config import checked

# huggingface_hub 2.4 uploads with an argument that its own HTTP client calls outdated.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


def sent(hub: FakeHub, repo: str = "me/digits") -> dict[str, bytes]:
    return list(hub.repositories[repo].commits.values())[-1]


def test_a_run_that_is_pushed_and_pulled_has_the_same_bits_and_accuracy(hub, run):
    address = push(run, "me/digits")
    assert address == f"{hub.address}/me/digits/commit/{list(hub.repositories['me/digits'].commits)[-1]}"
    folder = pull("me/digits")
    assert folder == Path("digits")
    for name in ("model.safetensors", "MODEL_CARD.md"):
        assert (folder / name).read_bytes() == (run.path / name).read_bytes()
    pulled = open_run(folder)
    assert (pulled.classes, pulled.preprocessing, pulled.network) == (run.classes, run.preprocessing, run.network)
    assert evaluate(pulled, "digits").to_json() == run.result["evaluation"]


def test_four_files_are_sent_and_no_other(hub, run):
    push(run, "me/digits")
    assert sorted(sent(hub)) == [".gitattributes", "README.md", "config.yaml", "model.safetensors", "result.json"]
    front = yaml.safe_load(sent(hub)["README.md"].decode().split("---")[1])
    assert front["pipeline_tag"] == "image-classification"


def test_what_is_sent_does_not_tell_where_things_are_on_this_machine(hub, run):
    config = run.config.updated(data="/home/someone/photos", data_root="/home/someone/data")
    there = Run(
        path=run.path,
        settings=config,
        network=run.network,
        weights=run.weights,
        preprocessing=run.preprocessing,
        classes=run.classes,
        history=run.history,
        result=run.result | {"data": "/home/someone/photos"},
    )
    push(there, "me/digits")
    assert not [name for name, content in sent(hub).items() if b"someone" in content]
    assert checked(yaml.safe_load(sent(hub)["config.yaml"])).data == "photos"
    assert json.loads(sent(hub)["result.json"])["data"] == "photos"


def test_no_header_tells_what_is_installed_here(hub, run):
    push(run, "me/digits")
    agents = {headers.get("User-Agent") or headers.get("user-agent") or "" for _, _, headers in hub.asked}
    assert any(agent.startswith("verydeep/") for agent in agents)
    assert not [agent for agent in agents if "torch" in agent or "agent/" in agent]


def test_a_second_push_adds_a_commit_and_leaves_other_files(hub, run):
    push(run, "me/digits")
    hub.repositories["me/digits"].commit({"notes.txt": b"mine"})
    push(run, "me/digits")
    assert sent(hub)["notes.txt"] == b"mine"
    assert len(hub.repositories["me/digits"].commits) == 4


def test_a_private_repository_is_made_private_and_read_with_the_token_alone(hub, run, monkeypatch):
    push(run, "me/digits", visibility="private")
    assert hub.repositories["me/digits"].private
    assert pull("me/digits", out="with").is_dir()
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(WeightsError, match="does not show it to us") as refused:
        pull("me/digits", out="without")
    assert refused.value.code == "HUB-REPOSITORY"


def test_what_shall_be_private_does_not_go_to_a_public_repository(hub, run):
    hub.repositories["me/digits"] = Repository()
    with pytest.raises(ConfigError, match="public; nothing was sent"):
        push(run, "me/digits", visibility="private")
    assert list(sent(hub)) == [".gitattributes"]


def test_a_file_that_the_hub_drops_without_a_word_is_noticed(hub, run):
    hub.repositories["me/digits"] = Repository(ignored=("config.yaml",))
    with pytest.raises(VerificationError, match=r"has no config\.yaml as it was sent"):
        push(run, "me/digits")


def test_nothing_is_asked_without_a_token_and_a_wrong_one_is_refused(hub, run, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(ConfigError, match="does not let this token write to me/digits") as refused:
        push(run, "me/digits")
    assert "hf_wrong" not in str(refused.value)
    hub.asked.clear()
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(ConfigError, match="Set HF_TOKEN, or name its file with --token-file"):
        push(run, "me/digits")
    assert hub.asked == []
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    assert push(run, "me/digits", token_file=tmp_path / "token")


@pytest.mark.parametrize(
    ("repo", "said"),
    [
        ("digits", "digits has no owner. Give OWNER/NAME, as in me/digits"),
        ("me/a/b", "'me/a/b' is no repository's name"),
        ("me/../b", "no repository's name"),
        ("https://example.org/me", "no repository's name"),
        ("", "no repository's name"),
    ],
)
def test_what_can_be_no_name_of_a_repository_is_refused(hub, run, repo, said):
    with pytest.raises(ConfigError, match=said):
        push(run, repo)
    assert hub.asked == []


def test_a_model_alone_and_a_run_without_a_card_are_refused(hub, run, tmp_path):
    with pytest.raises(ConfigError, match="is a model without its training run"):
        push(run.path / "model.safetensors", "me/digits")
    bare = Run(tmp_path, run.config, run.network, run.weights, run.preprocessing, run.classes, (), {})
    with pytest.raises(ConfigError, match=r"has no model\.safetensors"):
        push(bare, "me/digits")
    assert hub.asked == []


def test_a_hub_that_cannot_be_reached_or_fails_is_one_line(hub, run, monkeypatch):
    hub.fault = lambda ask: ask.command == "GET" and ask.json({"error": "broken"}, status=500) is None
    with pytest.raises(WeightsError, match="could not be written") as refused:
        push(run, "me/digits", visibility="private")
    assert refused.value.code == "HUB-UPLOAD"
    assert "\n" not in str(refused.value)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(WeightsError, match="could not be written"):
        push(run, "me/digits")


def test_the_hub_of_these_tests_is_one_to_huggingface_hub(hub, run, tmp_path):
    push(run, "me/digits")
    program = """
import sys
from huggingface_hub import HfApi, hf_hub_download
info = HfApi().model_info("me/digits", files_metadata=True)
large = {one.rfilename: one.lfs.sha256 for one in info.siblings if one.lfs}
small = {one.rfilename: one.blob_id for one in info.siblings if not one.lfs}
print(info.sha, large, small)
for name in ("model.safetensors", "config.yaml"):
    print(hf_hub_download("me/digits", name, cache_dir=sys.argv[1]))
"""
    environment = {"HF_ENDPOINT": hub.address, "HF_HUB_DISABLE_XET": "1", "HF_TOKEN": TOKEN, "NO_PROXY": "*"}
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "cache")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told, *paths = done.stdout.splitlines()
    assert git_hash(sent(hub)["config.yaml"]) in told
    assert [Path(path).read_bytes() for path in paths] == [sent(hub)["model.safetensors"], sent(hub)["config.yaml"]]
    assert huggingface_hub.constants.HF_HUB_DISABLE_XET is False, "push leaves huggingface_hub as it was"
