"""The trainings that show section 3.1's remark differ in their first weights, and in the pixels where they say so."""

import pytest

from verydeep.families.catalog import network
from verydeep.reproduce.initialisation import DEEPER, NETS, READINGS, REMEDIES, SETTINGS, initialisation_runs
from verydeep.rewrite.grow import grow
from verydeep.settings.recipes import resolve
from verydeep.spec import Network


def _network(fields: dict[str, object]) -> Network:
    config = resolve({**fields, "grow_from": None})
    return network(str(config.net), input=(1, 32, 32), classes=10, width=config.width, fc=config.fc)


@pytest.mark.parametrize("name", initialisation_runs())
def test_a_run_has_complete_settings_and_the_papers_rate(name: str):
    config = resolve(initialisation_runs()[name])
    assert (config.lr, config.momentum, config.weight_decay, config.dropout) == (0.01, 0.9, 5e-4, None)
    assert (config.schedule, config.warmup) == ("constant", 0.0)


def test_the_runs_differ_in_net_and_first_weights_and_pixels_alone():
    for name, fields in initialisation_runs().items():
        free = {"net", "init", "grow_from"} | ({"normalize"} if "unit pixels" in name else set())
        assert {key for key in fields if fields[key] != SETTINGS.get(key)} <= free


def test_every_net_is_tried_with_both_readings_and_every_remedy():
    runs = initialisation_runs()
    tried = {f"{net} {rule}" for net in NETS for rule in (*READINGS, *REMEDIES, "batch norm", "paper unit pixels")}
    assert tried <= set(runs)
    assert set(runs) - tried == {
        f"{net} grown{rest}" for net in DEEPER for rest in ("", " unit pixels", ", the rest paper unit pixels")
    }


def test_a_net_grows_from_an_earlier_run_of_net_a_on_the_same_pixels():
    runs = initialisation_runs()
    order = list(runs)
    for name in (name for name in runs if "grown" in name):
        source = str(runs[name]["grow_from"])
        assert order.index(source) < order.index(name)
        assert runs[source]["normalize"] == runs[name]["normalize"]
        assert len(grow(_network(runs[name]), source=_network(runs[source]))) == 7
