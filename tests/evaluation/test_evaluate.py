"""evaluate by each protocol: what is said of it, what is refused before anything is computed, how much memory."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.evaluation.nets import CLASSES, a_run
from tests.evaluation.test_protocols import in_files, in_memory, pictures
from verydeep.errors import ConfigError, ResourceError, SpecError
from verydeep.evaluation import evaluate as evaluation
from verydeep.evaluation import posteriors as computing
from verydeep.evaluation import room
from verydeep.evaluation.evaluate import evaluate, labelled, logits
from verydeep.evaluation.metrics import measure
from verydeep.evaluation.posteriors import posteriors
from verydeep.evaluation.protocol import Protocol, protocol_for
from verydeep.evaluation.table import to_markdown, to_text
from verydeep.report.memory import inference_bytes
from verydeep.settings.config import Config
from verydeep.spec import BatchNorm, Block, Flatten, Linear, Network

pytestmark = pytest.mark.usefixtures("compiled")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twenty photographs of three sizes in five folders of classes."""
    for number, image in enumerate(pictures(20, channels=3, sizes=[(19, 27), (30, 22), (20, 20)])):
        place = tmp_path / "data" / CLASSES[number % 5]
        place.mkdir(parents=True, exist_ok=True)
        in_files([image], place)
        (place / "0.png").rename(place / f"image-{number}.png")
    return tmp_path / "data"


@pytest.fixture
def nothing_is_computed(monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("something was computed")

    monkeypatch.setattr(computing, "ready", refuse)
    monkeypatch.setattr(evaluation, "ready", refuse)


def test_the_centre_crop_is_what_it_was_to_the_bit(folder: Path):
    run = a_run()
    images = labelled(run, folder)
    found = evaluate(run, folder)
    plain = measure(logits(run, images).array, images.labels, classes=CLASSES)
    assert replace(found, engine=None, scales=None) == plain
    assert found == evaluate(run, folder, protocol="center", scales=(18,), flip=False)
    assert found != evaluate(run, folder, flip=True)


def test_an_evaluation_says_by_which_protocol_scales_and_mirror_images(folder: Path):
    found = evaluate(a_run(), folder, protocol="dense", scales=(16, 20))
    assert (found.protocol, found.scales, found.flip, found.runs) == ("dense", (16, 20), True, ())
    for text in (to_text(found), to_markdown(found)):
        assert "protocol: dense, Q = 16, 20, with mirror images" in text
    assert found.to_json()["scales"] == [16, 20]


def test_the_numbers_are_those_of_the_mean_posterior(folder: Path):
    runs = [a_run(seed=seed) for seed in (1, 2)]
    images = labelled(runs[0], folder)
    each = [posteriors(run, images, protocol=protocol_for(run, "dense")).array for run in runs]
    mean = np.mean(each, axis=0)
    found = evaluate(runs[0], folder, protocol="dense", fuse=[runs[1]])
    assert found.top1 == (mean.argmax(1) == images.labels).mean()
    assert found.loss == pytest.approx(-np.log(mean[np.arange(20), images.labels]).mean(), abs=1e-12)
    assert [run.run for run in found.runs] == ["run-1", "run-2"]
    assert "fused: run-2 by dense, Q = 18, with mirror images" in to_text(found)


def test_a_class_that_is_ruled_out_costs_much_but_not_all(folder: Path):
    run = a_run()
    sure = replace(run, weights={**run.weights, "fc4.bias": np.array([0, 0, 0, 0, 2000], np.float32)})
    found = evaluate(sure, folder, protocol="ten-crop")
    assert found.loss == pytest.approx(0.8 * -np.log(np.finfo(float).tiny), rel=1e-3)


def test_what_is_saved_is_fused_later(folder: Path, tmp_path: Path):
    runs = [a_run(seed=seed) for seed in (1, 2)]
    at_once = evaluate(runs[0], folder, protocol="dense", fuse=[runs[1]], save=tmp_path / "both.npz")
    for run in runs:
        evaluate(run, folder, protocol="dense", save=tmp_path / f"{run.path}.npz")
    later = evaluate(tmp_path / "run-1.npz", fuse=[tmp_path / "run-2.npz"])
    assert later == at_once == evaluate(tmp_path / "both.npz")
    assert evaluate(runs[0], folder, protocol="dense", fuse=[tmp_path / "run-2.npz"]) == at_once
    assert evaluate(tmp_path / "run-1.npz", folder, protocol="dense", fuse=[runs[1]]) == at_once


@pytest.mark.usefixtures("nothing_is_computed")
@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        ({"protocol": "dens"}, "PROTOCOL-UNKNOWN", "there is no protocol 'dens'. Did you mean dense?"),
        ({"scales": (18, 15)}, "EVAL-SCALE", "the test scale 15 is below the crop of 16 pixels that vgg reads"),
        ({"scales": (15,)}, "EVAL-SCALE", "Give --scales of 16 or more"),
        ({"scales": ()}, "EVAL-SCALE", "there are no test scales"),
        ({"scales": (-16,)}, "EVAL-SCALE", "a whole number of pixels from 1 to 16,384, not -16"),
        ({"scales": (20_000,)}, "EVAL-SCALE", "not 20000"),
        ({"scales": (18.5,)}, "EVAL-SCALE", "not 18.5"),
        ({"scales": (18, 20, 18)}, "EVAL-SCALE", "the test scale 18 is given twice"),
        ({"protocol": "dense", "batch": 0}, "OPTION-VALUE", "batch must be 1 or more, got 0"),
        ({"memory": 0}, "OPTION-VALUE", "memory must be 1 or more, got 0"),
        ({"batch": 0}, "OPTION-VALUE", "batch must be 1 or more, got 0"),
        ({"protocol": "dense", "memory": 0}, "OPTION-VALUE", "memory must be 1 or more, got 0"),
        ({"save": "posteriors.txt"}, "OUT", "does not end in .npz"),
        ({"save": "nowhere/x.npz"}, "OUT", "nowhere is no folder"),
    ],
)  # fmt: skip
def test_a_wrong_option_is_refused_before_anything_is_computed(
    options: dict[str, object], code: str, said: str, folder: Path
):
    with pytest.raises(ConfigError) as refused:
        evaluate(a_run(), folder, **options)
    assert refused.value.code == code
    assert said in str(refused.value)


@pytest.mark.usefixtures("nothing_is_computed")
def test_runs_that_do_not_belong_together_are_refused_before_anything_is_computed(folder: Path):
    run = a_run()
    with pytest.raises(ConfigError, match="class 0 is 'ant' and 'asp'") as refused:
        evaluate(run, folder, fuse=[a_run(seed=2, classes=("asp", *CLASSES[1:]))])
    assert refused.value.code == "FUSE-CLASSES"
    with pytest.raises(ConfigError, match="run-1 and run-2 cannot be fused: one reads grey images, the other colour"):
        evaluate(run, folder, fuse=[a_run("C, with 1x1, grey", seed=2)])


def test_posteriors_of_other_images_are_refused_before_anything_is_computed(folder: Path, request):
    run = a_run()
    elsewhere = posteriors(run, in_memory(pictures(20, channels=3)), protocol=protocol_for(run))
    request.getfixturevalue("nothing_is_computed")
    with pytest.raises(ConfigError, match="tested on other images") as refused:
        evaluate(run, folder, fuse=[elsewhere])
    assert refused.value.code == "FUSE-IMAGES"


def test_saved_posteriors_have_their_protocol_already(folder: Path):
    run = a_run()
    found = posteriors(run, labelled(run, folder), protocol=protocol_for(run))
    with pytest.raises(ConfigError, match="have their images and their protocol already") as refused:
        evaluate(found, protocol="dense")
    assert refused.value.code == "OPTIONS-DISAGREE"


def test_scales_are_those_of_the_training_unless_others_are_given():
    run = a_run()
    assert protocol_for(run) == Protocol("center", (18,), flip=False)
    assert protocol_for(run, "dense") == Protocol("dense", (18,), flip=True)
    assert not protocol_for(replace(run, settings=Config(flip=False)), "dense").flip
    assert protocol_for(replace(run, settings=None), "dense").flip
    assert protocol_for(run, "both", scales=[16, 20], flip=False) == Protocol("both", (16, 20), flip=False)
    own_size = replace(run, preprocessing=replace(run.preprocessing, resize=None))
    assert protocol_for(own_size, "dense").scales == ()


def test_images_of_their_own_size_are_not_rescaled():
    run = a_run()
    own_size = replace(run, preprocessing=replace(run.preprocessing, resize=None))
    images = in_memory(pictures(3, channels=3, sizes=[(21, 27)]))
    found, named = (
        posteriors(one, images, protocol=protocol_for(one, "dense"))
        for one in (own_size, replace(run, preprocessing=replace(run.preprocessing, resize=21)))
    )
    assert np.array_equal(found.array, named.array)


def test_a_network_that_reads_whole_images_has_no_crops():
    run = a_run()
    whole = replace(run, preprocessing=replace(run.preprocessing, crop="none"))
    for kind in ("ten-crop", "multi-crop", "both"):
        with pytest.raises(ConfigError, match=f"so there are no crops for {kind}") as refused:
            protocol_for(whole, kind)
        assert refused.value.code == "EVAL-NO-CROP"
    assert protocol_for(whole, "dense").kind == "dense"


def test_a_network_without_a_dense_form_is_refused(folder: Path):
    network = Network("flat", (3, 16, 16), (Block("b", (Flatten("flatten"), BatchNorm("n"), Linear("fc", 5))),))
    run = replace(a_run(), network=network, weights={})
    with pytest.raises(SpecError, match="has no dense form"):
        evaluate(run, folder, protocol="dense")


@pytest.mark.usefixtures("nothing_is_computed")
def test_too_little_memory_is_refused_with_what_is_needed(folder: Path, monkeypatch):
    run = a_run()
    with pytest.raises(
        ResourceError,
        match=r"the maps of the smallest part of .*\.png at \d+x\d+ take 0\.\d+ MiB, and 0\.0095 MiB are allowed",
    ) as refused:
        evaluate(run, folder, protocol="dense", memory=10_000)
    assert refused.value.code == "EVAL-MEMORY"
    for protocol in ("center", "ten-crop"):
        with pytest.raises(ResourceError, match="the maps of one crop take"):
            evaluate(run, folder, protocol=protocol, memory=1000)
    monkeypatch.setattr(room, "memory_bytes", lambda: 10_000)
    with pytest.raises(ResourceError, match=r"and this machine has 0\.0095 MiB"):
        evaluate(run, folder, protocol="dense", scales=(18,))
    monkeypatch.setattr(room, "memory_bytes", lambda: 2**20)
    with pytest.raises(
        ResourceError, match=r"image-\d+\.png of \d+x\d+ pixels takes .* as 300x\d+, and this machine has 1 MiB"
    ):
        evaluate(run, folder, protocol="center", scales=(300,))


def test_fewer_images_at_once_where_there_is_little_memory(folder: Path, monkeypatch):
    run = a_run()
    seen: list[int] = []
    original = computing.posterior

    def noted(scores, pixels, **options):
        seen.append(len(pixels))
        return original(scores, pixels, **options)

    monkeypatch.setattr(computing, "posterior", noted)
    large = evaluate(run, folder, protocol="dense")
    assert max(seen) > 2
    seen.clear()
    small = evaluate(run, folder, protocol="dense", memory=34_000)
    assert max(seen) == 3
    assert abs(small.loss - large.loss) <= 1e-5


def test_fewer_centre_crops_at_once_where_there_is_little_memory(folder: Path, monkeypatch):
    run = a_run()
    seen: list[int] = []
    original = evaluation.scores_of

    def noted(*arguments, batch: int, **options):
        seen.append(batch)
        return original(*arguments, batch=batch, **options)

    monkeypatch.setattr(evaluation, "scores_of", noted)
    large = evaluate(run, folder)
    small = evaluate(run, folder, memory=3 * inference_bytes(run.network))
    assert seen == [256, 3]
    assert abs(small.loss - large.loss) <= 1e-5


@pytest.mark.usefixtures("nothing_is_computed")
def test_a_scale_of_the_models_own_that_is_too_large_for_the_machine_is_refused_first(folder: Path, monkeypatch):
    run = a_run()
    monkeypatch.setattr(room, "memory_bytes", lambda: 2**20)
    large = replace(run, preprocessing=replace(run.preprocessing, resize=300))
    with pytest.raises(ResourceError, match=r"pixels takes .* as 300x\d+, and this machine has 1 MiB") as refused:
        evaluate(large, folder)
    assert refused.value.code == "EVAL-MEMORY"


def test_a_network_that_reads_whole_images_needs_room_for_their_size(folder: Path):
    run = a_run("mean over the whole map")
    whole = replace(run, preprocessing=replace(run.preprocessing, crop="none", resize=60))
    assert evaluate(whole, folder, batch=1, memory=2**24).count == evaluate(whole, folder, batch=1).count
    with pytest.raises(ResourceError, match=r"the maps of .* at 60x\d+ take") as refused:
        evaluate(whole, folder, batch=1, memory=2 * inference_bytes(run.network))
    assert refused.value.code == "EVAL-MEMORY"


def test_a_run_that_is_named_twice_is_refused_before_anything_is_computed(folder: Path, request):
    run = a_run()
    same = replace(run, path=Path("run-1").absolute())
    one = posteriors(run, labelled(run, folder), protocol=protocol_for(run, "dense"))
    request.getfixturevalue("nothing_is_computed")
    for others in ([run], [same], [a_run(seed=2), same], [one]):
        with pytest.raises(ConfigError, match="run-1 by dense, Q = 18, with mirror images, is there twice") as refused:
            evaluate(run, folder, protocol="dense", fuse=others)
        assert refused.value.code == "FUSE-TWICE"


def test_progress_counts_every_image_once_for_each_scale(folder: Path):
    told: list[tuple[int, int]] = []
    evaluate(
        a_run(), folder, protocol="dense", scales=(16, 18, 20), watch=lambda done, total: told.append((done, total))
    )
    assert told[-1] == (60, 60)
    assert [done for done, _ in told] == sorted({done for done, _ in told})


def test_all_runs_are_computed_by_processes_that_joined_once(folder: Path, monkeypatch):
    """Who has left a group of processes waits for ever when it would join it again."""
    count: list[str] = []
    original = evaluation.joined

    def counted(device: str):
        count.append(device)
        return original(device)

    for module in (evaluation, computing):
        monkeypatch.setattr(module, "joined", counted)
    evaluate(a_run(), folder, protocol="dense", fuse=[a_run(seed=2), a_run(seed=3)])
    assert len(count) == 1


@pytest.mark.usefixtures("nothing_is_computed")
def test_what_the_second_run_cannot_do_is_refused_before_the_first_is_computed(folder: Path):
    network = Network("flat", (3, 16, 16), (Block("b", (Flatten("flatten"), BatchNorm("n"), Linear("fc", 5))),))
    second = replace(a_run(seed=2), network=network, weights={})
    with pytest.raises(SpecError, match="has no dense form"):
        evaluate(a_run(), folder, protocol="dense", fuse=[second])
