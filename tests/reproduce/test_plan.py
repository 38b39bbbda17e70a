"""The plan of every table at the paper's own scale, for which no data is needed."""

from pathlib import Path

import pytest

from verydeep.errors import ConfigError
from verydeep.reproduce.published import TABLES
from verydeep.reproduce.reproduce import FINDINGS, INITIALISATION, TRANSFER, planned
from verydeep.reproduce.request import Request
from verydeep.reproduce.scales import SCALES, scale


@pytest.mark.parametrize("name", [*TABLES, TRANSFER, FINDINGS])
def test_the_plan_at_the_papers_scale(name: str, golden, tmp_path: Path):
    seeds = 3 if name == "findings" else 1
    golden(f"plan_{name}.txt", planned(name, Request(scale("imagenet"), seeds, tmp_path / "out")))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", SCALES)
def test_the_recipes_of_a_scale_read_its_pixels(name: str):
    assert scale(name).name == name


def test_an_unknown_scale_is_refused_with_the_nearest():
    with pytest.raises(ConfigError, match="imagenet") as refused:
        scale("imagnet")
    assert refused.value.code == "REPRODUCE-SCALE"


def test_the_plan_of_the_first_weights_has_net_a_before_what_grows_from_it(tmp_path: Path):
    lines = planned(INITIALISATION, Request(scale("laptop"), 1, tmp_path)).splitlines()
    runs = [line.split() for line in lines if "-seed-0" in line]
    names = [words[0] for words in runs]
    grown = [words for words in runs if words[2] != "-"]
    assert grown
    for name, _, source, *_ in grown:
        assert names.index(source) < names.index(name)
