"""`verydeep push` and `verydeep pull` as commands; what they send and take is tried in tests/hub."""

import json
import time
from collections.abc import Iterator

import pytest

from tests.hub import fake_hub
from tests.hub.fake_hub import TOKEN, FakeHub
from verydeep import extras
from verydeep.hub import fetch
from verydeep.hub.pull import pull


@pytest.fixture
def hub(monkeypatch) -> Iterator[FakeHub]:
    with fake_hub.running() as running:
        monkeypatch.setenv("HF_ENDPOINT", running.address)
        monkeypatch.setenv("NO_PROXY", "*")
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield running


@pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # huggingface_hub's own
def test_a_run_goes_to_the_hub_and_comes_back_as_a_model(verydeep, refused, digits_run, hub):
    pushed = verydeep("push", digits_run, "me/digits", "--private")
    assert pushed.code == 0, pushed.err
    assert pushed.out.startswith(f"{hub.address}/me/digits/commit/")
    pulled = verydeep("pull", "me/digits")
    assert (pulled.code, pulled.out) == (0, "digits\n")
    assert [line.partition(",")[0] for line in pulled.err.splitlines()] == [
        "MODEL_CARD.md",
        "config.yaml",
        "result.json",
        "model.safetensors",
    ]
    found = json.loads(verydeep("evaluate", "digits", "digits", "--format", "json").out)
    assert found == json.loads((digits_run / "result.json").read_text())["evaluation"]
    assert verydeep("show", "./digits").out == verydeep("show", digits_run).out
    assert "is a model without its training run" in refused("report", "digits")
    assert "is no run: it has no network.json" in refused("resume", "digits")
    assert "is there already" in refused("pull", "me/digits")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["pull", "me/nothing"], 4, "error[HUB-REPOSITORY]"),
        (["pull", "me/../x"], 2, "error[HUB-NAME]"),
        (["pull", "me/x", "--token-file", "nowhere"], 2, "error[HUB-TOKEN]"),
        (["push", "nowhere", "me/x"], 2, "error[RUN-MISSING]"),
        (["push", "{run}", "x"], 2, "Give OWNER/NAME, as in me/x."),
    ],
)
def test_what_cannot_be_done_is_one_line(refused, digits_run, hub, words, code, said):
    assert said in refused(*(word.replace("{run}", str(digits_run)) for word in words), code=code)


def test_no_token_is_asked_for(refused, digits_run, hub, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    assert "Set HF_TOKEN, or name its file with --token-file." in refused("push", digits_run, "me/x")


def test_a_missing_package_is_one_line_with_the_command_that_installs_it(refused, digits_run, monkeypatch):
    def missing(module: str):
        raise ModuleNotFoundError(name="huggingface_hub")

    monkeypatch.setattr(extras, "import_module", missing)
    assert "Run: pip install 'verydeep[hub]'" in refused("push", digits_run, "me/x")


def test_a_stalled_hub_is_one_line_with_exit_code_4(refused, hub, monkeypatch):
    assert fetch.PATIENCE <= 25  # seconds; the rest of 30 is for starting and ending
    monkeypatch.setitem(pull.__kwdefaults__, "patience", 0.3)
    hub.fault = lambda ask: hub.over.wait(60)
    assert "error[HUB-STALLED]" in refused("pull", "me/x", code=4)


@pytest.mark.slow
def test_a_stalled_hub_ends_a_command_within_30_seconds(process, hub, tmp_path):
    began = time.monotonic()
    hub.fault = lambda ask: hub.over.wait(60)
    done = process("pull", "me/x", cwd=tmp_path, HF_ENDPOINT=hub.address, NO_PROXY="*")
    assert done.code == 4
    assert "error[HUB-STALLED]" in done.err
    assert time.monotonic() - began < 30
    assert list(tmp_path.glob("*x*")) == []
