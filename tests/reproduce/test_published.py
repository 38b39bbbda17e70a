"""The figures beside ours are the paper's, and the claims follow from them."""

import re

import pytest

from verydeep.reproduce.claims import CLAIMS
from verydeep.reproduce.declared import JITTERED, Experiment, Trained, sides_of_test
from verydeep.reproduce.published import TABLES, Row

# arXiv:1409.1556, tables 3 to 6, as net or nets, S, protocol, Q: top-1/top-5 of ILSVRC's validation images.
PAPER = {
    "table3": "A 256 29.6/10.4; A-LRN 256 29.7/10.5; B 256 28.7/9.9; C 256 28.1/9.4; C 384 28.1/9.3; "
    "C jitter 27.3/8.8; D 256 27.0/8.8; D 384 26.8/8.7; D jitter 25.6/8.1; E 256 27.3/9.0; "
    "E 384 26.9/8.7; E jitter 25.5/8.0",
    "table4": "B 256 28.2/9.6; C 256 27.7/9.2; C 384 27.8/9.2; C jitter 26.3/8.2; D 256 26.6/8.6; D 384 26.5/8.6; "
    "D jitter 24.8/7.5; E 256 26.9/8.7; E 384 26.7/8.6; E jitter 24.8/7.5",
    "table5": "D jitter 24.8/7.5; D jitter multi-crop 24.6/7.5; D jitter both 24.4/7.2; E jitter 24.8/7.5; "
    "E jitter multi-crop 24.6/7.4; E jitter both 24.4/7.1",
}


TABLE_7 = """\
ours, 2 nets: 23.7 6.8 6.8; ours, 1 net: 24.4 7.1 7.0; ours, 7 nets: 24.7 7.5 7.3
GoogLeNet, 1 net: - - 7.9; GoogLeNet, 7 nets: - - 6.7; MSRA, 11 nets: - - 8.1; MSRA, 1 net: 27.9 9.1 9.1
Clarifai, multiple nets: - - 11.7; Clarifai, 1 net: - - 12.5
Zeiler & Fergus, 6 nets: 36.0 14.7 14.8; Zeiler & Fergus, 1 net: 37.5 16.0 16.1
OverFeat, 7 nets: 34.0 13.2 13.6; OverFeat, 1 net: 35.7 14.2 -
Krizhevsky et al., 5 nets: 38.1 16.4 16.4; Krizhevsky et al., 1 net: 40.7 18.2 -"""

# Of every claim: what errs more, what errs less; each as nets and S, protocol where it is not dense, scales.
CLAIMED = """\
depth A-B: A 256 one > B 256 one
depth B-C: B 256 one > C 256 one
depth C-D: C 256 one > D 256 one
depth A-D: A 256 one > D 256 one
depth A-E: A 256 one > E 256 one
lrn: A 256 one does not gain A-LRN 256 one
shallow: shallow 256 center one > B 256 center one
jitter 256: D 256 one > D jitter one
jitter 384: D 384 one > D jitter one
scales: D 256 one > D 256 three
scales, jitter: D jitter one > D jitter three
both, dense: D jitter three > D jitter both three
both, crops: D jitter multi-crop three > D jitter both three
fusion: D jitter three | E jitter three > D jitter + E jitter three"""


def _words(row: Row) -> str:
    assert row.tested is not None
    (trained,) = row.tested.trained
    side = "jitter" if trained.side == JITTERED else trained.side
    kind = "" if row.tested.kind == "dense" else f" {row.tested.kind}"
    return f"{trained.net} {side}{kind} {row.top1}/{row.top5}"


@pytest.mark.parametrize("name", PAPER)
def test_the_figures_are_the_papers(name: str):
    assert "; ".join(map(_words, TABLES[name].rows)) == PAPER[name]
    assert {row.tested.sides for row in TABLES[name].rows if row.tested} == {"one" if name == "table3" else "three"}


def test_the_fusions_are_the_papers():
    seven, dense, crops, both = TABLES["table6"].rows
    assert [(row.top1, row.top5, row.test_top5) for row in (seven, dense, crops, both)] == [
        (24.7, 7.5, 7.3),
        (24.0, 7.1, 7.0),
        (23.9, 7.2, None),
        (23.7, 6.8, 6.8),
    ]
    assert seven.tested is not None
    assert len(set(seven.tested.trained)) == 7
    for row, kind in ((dense, "dense"), (crops, "multi-crop"), (both, "both")):
        assert row.tested == Experiment((Trained("D", JITTERED), Trained("E", JITTERED)), kind, "three")


def test_the_rows_of_table_7_that_are_ours_stand_in_the_tables_before():
    before = {
        (row.tested, row.top1, row.top5) for name in ("table5", "table6") for row in TABLES[name].rows if row.tested
    }
    ours = [(row.tested, row.top1, row.top5) for row in TABLES["table7"].rows if row.tested]
    assert len(ours) == 3
    assert set(ours) <= before


def test_every_figure_of_table_7_is_the_papers():
    found = [
        " ".join([f"{row.label or _ours(row)}:", *map(_figure, (row.top1, row.top5, row.test_top5))])
        for row in TABLES["table7"].rows
    ]
    assert found == TABLE_7.replace("\n", "; ").split("; ")


def test_every_claim_is_the_papers():
    found = [
        f"{claim.name}: {' | '.join(map(_tested, claim.worse))} "
        f"{'>' if claim.says == 'gains' else claim.says} {_tested(claim.better)}"
        for claim in CLAIMS
    ]
    assert found == CLAIMED.split("\n")


def _figure(percent: float | None) -> str:
    return "-" if percent is None else f"{percent}"


def _ours(row: Row) -> str:
    assert row.tested is not None
    count = len(row.tested.trained)
    return f"ours, {count} net{'s' if count > 1 else ''}"


def _tested(tested: Experiment) -> str:
    nets = " + ".join(f"{one.net} {'jitter' if one.side == JITTERED else one.side}" for one in tested.trained)
    return f"{nets}{'' if tested.kind == 'dense' else f' {tested.kind}'} {tested.sides}"


def test_the_test_scales_are_those_of_sections_4_1_and_4_2():
    assert sides_of_test(Trained("D"), "one") == (256,)
    assert sides_of_test(Trained("D"), "three") == (224, 256, 288)
    assert sides_of_test(Trained("D", "384"), "three") == (352, 384, 416)
    assert sides_of_test(Trained("D", JITTERED), "one") == (384,)
    assert sides_of_test(Trained("D", JITTERED), "three") == (256, 384, 512)


def test_the_chain_of_trainings_is_that_of_section_3_1():
    assert Trained("D", JITTERED).begins_with() == Trained("D", "384")
    assert Trained("D", "384").begins_with() == Trained("D", "256")
    assert Trained("D").begins_with() == Trained("A")
    assert {net: Trained(net).begins_with() for net in ("A", "A-LRN", "shallow")} == {
        "A": None,
        "A-LRN": None,
        "shallow": None,
    }


def test_what_a_claim_says_the_paper_gains_is_the_difference_of_its_figures():
    errors = {row.tested: row.top1 for table in TABLES.values() for row in table.rows if row.tested and row.top1}
    for claim in CLAIMS:
        if claim.name != "shallow":  # of which the paper gives the difference alone
            best = min(errors[tested] for tested in claim.worse)
            assert claim.paper == pytest.approx(best - errors[claim.better], abs=1e-9), claim.name


def test_every_claim_of_the_specification_is_tested():
    names = " ".join(claim.name for claim in CLAIMS)
    for word in ("A-B", "B-C", "C-D", "A-D", "A-E", "lrn", "shallow", "jitter", "scales", "both, dense", "fusion"):
        assert re.search(word, names), word
