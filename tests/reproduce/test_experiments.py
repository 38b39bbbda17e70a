"""What is computed for a table, in which order, and under which names."""

from pathlib import Path

from tests.reproduce.tiny import TINY, tiny
from verydeep.reproduce import task as tasks
from verydeep.reproduce.agenda import ready
from verydeep.reproduce.declared import JITTERED, Experiment, Trained
from verydeep.reproduce.experiments import Pass, Training, Wanted, passes, trainings, wanted
from verydeep.reproduce.published import TABLES
from verydeep.reproduce.reproduce import NAMES, tasks_of

JITTER = Trained("D", JITTERED)


def test_a_training_comes_after_what_it_begins_with():
    names = [one.name(TINY) for one in trainings([Training(JITTER, 3), Training(Trained("D"), 3)])]
    assert names == ["A-8-seed-3", "D-8-seed-3", "D-12-seed-3", "D-8-16-seed-3"]


def test_every_task_of_every_table_comes_after_what_it_waits_for_and_once(tmp_path: Path):
    for name in NAMES:
        every = tasks_of(name, tiny(tmp_path, seeds=3))
        assert len(set(every)) == len(every), name
        for number, task in enumerate(every):
            assert tasks.waits_for(task) in (None, *every[:number]), name


def test_tables_share_their_trainings_and_passes(tmp_path: Path):
    third, fourth = (set(tasks_of(name, tiny(tmp_path))) for name in ("table3", "table4"))
    runs = {task for task in fourth if isinstance(task, Training)}
    assert runs < third
    assert len(third & fourth) > len(runs)  # the middle one of three scales is the single one


def test_both_is_dense_and_crops_at_each_scale():
    found = passes(Experiment((JITTER,), "both", "three"), seed=0, scale=TINY)
    assert found == tuple(
        Pass(Training(JITTER, 0), kind, side) for kind in ("dense", "multi-crop") for side in (8, 12, 16)
    )


def test_a_pass_has_as_many_images_as_the_test_that_wants_most():
    one, three = Experiment((JITTER,)), Experiment((JITTER,), sides="three")
    found = {each.one.side: each.images for each in wanted([(one, 60), (three, 20)], seed=0, scale=TINY)}
    assert found == {12: 60, 8: 20, 16: 20}
    assert wanted([(one, 60), (one, None)], seed=0, scale=TINY) == (
        Wanted(Pass(Training(JITTER, 0), "dense", 12), None),
    )


def test_a_table_of_crops_takes_fewer_images_in_all_its_rows(tmp_path: Path):
    images = {task.images for task in tasks_of("table5", tiny(tmp_path)) if isinstance(task, Wanted)}
    assert images == {TINY.crop_images}
    assert TABLES["table5"].rows[0].tested is not None


def test_of_several_tasks_one_is_begun_when_what_it_waits_for_is_done():
    first, grown = Training(Trained("A"), 0), Training(Trained("B"), 0)
    other, tested = Training(Trained("A"), 1), Wanted(Pass(first, "dense", 8), None)
    assert ready([first, grown, tested, other], []) == first
    assert ready([grown, tested, other], [first]) == other
    assert ready([grown, tested], [first, other]) is None
    assert ready([grown, tested], [other]) == grown
    assert ready([tested], [grown]) == tested
