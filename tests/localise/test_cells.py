"""Which crop a cell of the dense map stands for, and what becomes of its box."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from verydeep.backends import pytorch
from verydeep.data.geometry import rescale
from verydeep.data.preprocess import apply
from verydeep.errors import ConfigError, ResourceError
from verydeep.evaluation.metrics import log_softmax
from verydeep.families.vgg import vgg
from verydeep.localise import guesses
from verydeep.localise.cells import corners, dense_network
from verydeep.localise.frame import centre_frame
from verydeep.localise.guesses import Guesser
from verydeep.localise.head import locator, of_class
from verydeep.localise.localiser import Localiser
from verydeep.localise.merge import merge
from verydeep.preprocessing import Preprocessing
from verydeep.rewrite.cut import head_weights
from verydeep.run import Run
from verydeep.spec import Block, Flatten, Linear, Network, conv, pool
from verydeep.transfer import room
from verydeep.weights.initial import initial

CLASSES = ("a", "b", "c")
SIZE = 24


def unpadded():
    """Without padding a cell sees nothing but its crop, so that the crop alone gives the same numbers."""
    layers = (conv("conv1", 6, kernel=5), pool("pool1", kernel=2, stride=2), conv("conv2", 8, kernel=2, stride=2))
    head = (Flatten("flat"), Linear("fc6", 10), Linear("fc7", 7), Linear("fc8", 3))
    return Network("unpadded", (3, SIZE, SIZE), (Block("block1", layers), Block("head", head)))


def preprocessing(resize=SIZE):
    return Preprocessing(3, (SIZE, SIZE), resize, "center", (110.0, 120.0, 130.0), (60.0, 50.0, 70.0), "RGB")


def runs(network, *, boxes="per-class", seed=0):
    """A classifier with lively weights, and a localiser whose boxes lie in the crop."""
    weights = {name: array * np.float32(0.7) for name, array in initial(network, seed=seed).items()}
    classifier = Run(Path("run"), None, network, weights, preprocessing(), CLASSES, (), {})
    located = locator(network, boxes=boxes)
    arrays = {name: array * np.float32(0.3) for name, array in initial(located, seed=seed + 1).items()}
    arrays[head_weights(located)[1]] = np.tile(np.array([0.5, 0.4, 0.6, 0.7], np.float32), located.classes // 4)
    localiser = Localiser(Path("loc"), located, arrays, preprocessing(), boxes, CLASSES, None, {})
    return classifier, localiser


def photo(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def plain(one, image):
    """Outputs for one crop of the network's size."""
    model = pytorch.build(one.network, one.weights).eval()
    with torch.inference_mode():
        return model(apply(image, one.preprocessing)[None]).numpy()


def test_a_cell_gives_the_numbers_of_the_crop_that_it_stands_for():
    _, localiser = runs(unpadded())
    image = photo(37, 45)
    cells = dense_network(
        localiser.network, localiser.weights, preprocessing=preprocessing(), device=torch.device("cpu")
    ).cells(image, smallest=37)
    places = list(corners(localiser.network, (37, 45)))
    assert places == [(4 * row, 4 * column) for row in range(4) for column in range(6)]
    for outputs, (top, left), frame in zip(cells.outputs, places, cells.frames, strict=True):
        crop = image[top : top + SIZE, left : left + SIZE]
        assert np.abs(outputs - plain(localiser, crop)[0]).max() < 1e-5
        x, y, width, height = (float(value) for value in of_class(outputs[None], np.array([1]))[0])
        box = [left + SIZE * (x - width / 2), top + SIZE * (y - height / 2)]
        box += [left + SIZE * (x + width / 2), top + SIZE * (y + height / 2)]
        assert np.allclose(frame.leave(of_class(outputs[None], np.array([1]))[0]), box)


def test_a_padded_network_s_cells_stand_for_crops_at_multiples_of_its_step():
    network = vgg(((1, 4), (1, 8)), input=(3, SIZE, SIZE), classes=3, fc=(10,))
    assert list(corners(network, (SIZE, SIZE))) == [(0, 0)]
    assert list(corners(network, (SIZE + 7, SIZE + 8))) == [(row, column) for row in (0, 4) for column in (0, 4, 8)]


@pytest.mark.parametrize("boxes", ["single-class", "per-class"])
def test_at_the_size_of_the_crop_the_dense_box_is_that_of_the_centre_crop(boxes):
    network = vgg(((1, 4), (1, 8)), input=(3, SIZE, SIZE), classes=3, fc=(10,))
    classifier, localiser = runs(network, boxes=boxes)
    for size in ((SIZE, SIZE), (48, 48)):
        image = photo(*size)
        expected = centre_frame(size, preprocessing()).leave(of_class(plain(localiser, image), np.array([2]))[0])
        (guess,) = Guesser([localiser], classifier, scales=(SIZE,)).guess(image, labels=(2,))
        assert np.abs(guess.box - np.clip(expected, 0, size[0])).max() < 1e-3
        posterior = np.exp(log_softmax(plain(classifier, image).astype(float)))[0]
        assert guess.confidence == pytest.approx(posterior[2], abs=1e-5)
        assert guess.score == pytest.approx(posterior[2], abs=1e-5)


def test_guesses_are_those_of_loops_over_scales_localisers_and_cells():
    network = unpadded()
    classifier, first = runs(network)
    _, second = runs(network, boxes="single-class", seed=4)
    second = replace(second, path=Path("other"))
    image, scales = photo(60, 52), (26, 40)
    posteriors, boxes, ratings = [], [], []
    for scale in scales:
        rescaled = rescale(image, smallest=scale, cover=(SIZE, SIZE))
        height, width = rescaled.shape[:2]
        places = [(y, x) for y in range(0, height - SIZE + 1, 4) for x in range(0, width - SIZE + 1, 4)]
        logits = np.array([plain(classifier, rescaled[y : y + SIZE, x : x + SIZE])[0] for y, x in places], dtype=float)
        total = np.exp(logits.mean(axis=0))
        posteriors.append(total / total.sum())
        for localiser in (first, second):
            for (top, left), logit in zip(places, logits, strict=True):
                outputs = plain(localiser, rescaled[top : top + SIZE, left : left + SIZE])[0].reshape(-1, 4)
                x, y, w, h = np.broadcast_to(outputs, (3, 4)).T.astype(float)
                w, h = np.maximum(w, 0), np.maximum(h, 0)
                sides = [
                    left + SIZE * (x - w / 2),
                    top + SIZE * (y - h / 2),
                    left + SIZE * (x + w / 2),
                    top + SIZE * (y + h / 2),
                ]
                ratio = [52 / width, 60 / height]
                boxes.append(
                    np.stack([np.clip(side * ratio[i % 2], 0, (52, 60)[i % 2]) for i, side in enumerate(sides)], axis=1)
                )
                ratings.append(np.exp(logit) / np.exp(logit).sum())
    whole = np.mean(posteriors, axis=0)
    found = Guesser([first, second], classifier, scales=scales).guess(image, top=3)
    assert [guess.label for guess in found] == list(np.argsort(-whole))
    for guess in found:
        merged = merge(np.array(boxes)[:, guess.label], np.array(ratings)[:, guess.label])
        assert guess.confidence == pytest.approx(whole[guess.label], abs=1e-5)
        assert guess.score == pytest.approx(merged.ratings.max(), abs=1e-4)
        assert np.abs(guess.box - merged.boxes[merged.best()]).max() < 0.01


def test_scales_below_the_crop_and_networks_that_do_not_match_are_refused():
    classifier, localiser = runs(unpadded())
    with pytest.raises(ConfigError, match="scale 23 is below the crop of 24"):
        Guesser([localiser], classifier, scales=(30, 23))
    other, _ = runs(vgg(((1, 4), (1, 8), (1, 8)), input=(3, SIZE, SIZE), classes=3, fc=(10,)))
    with pytest.raises(ConfigError, match="every"):
        Guesser([localiser], other)
    renamed = Run(Path("run"), None, classifier.network, classifier.weights, preprocessing(), ("a", "c", "b"), (), {})
    with pytest.raises(ConfigError, match="not those of run, in their order"):
        Guesser([localiser], renamed)


def shortened():
    """Of the same crop and step, but its last pixels are unread or not, so that it has other cells."""
    layers = (conv("conv1", 6, kernel=3), pool("pool1", kernel=2, stride=2), pool("pool2", kernel=2, stride=2))
    head = (Flatten("flat"), Linear("fc6", 10), Linear("fc7", 7), Linear("fc8", 3))
    return Network("shortened", (3, SIZE, SIZE), (Block("block1", layers), Block("head", head)))


def test_boxes_are_not_rated_by_the_cells_of_other_crops():
    classifier, _ = runs(unpadded())
    _, other = runs(shortened())
    guesser = Guesser([other], classifier, scales=(26,))
    with pytest.raises(ConfigError, match="at scale 26") as refused:
        guesser.guess(photo(60, 60))
    assert refused.value.code == "LOCALISE-CELLS"


def test_images_without_room_and_with_too_many_boxes_are_refused_before_computing(monkeypatch):
    classifier, localiser = runs(unpadded())
    guesser = Guesser([localiser], classifier, scales=(30,))
    monkeypatch.setattr(guesses, "MOST_BOXES", 3)
    with pytest.raises(ResourceError, match="has 4 boxes of each class") as refused:
        guesser.check([(30, 30)])
    assert refused.value.code == "LOCALISE-BOXES"
    monkeypatch.setattr(room, "memory_bytes", lambda: 1000)
    with pytest.raises(ResourceError) as refused:
        guesser.check([(30, 30)])
    assert refused.value.code == "SCALE-MEMORY"


def test_no_box_reaches_outside_its_image():
    classifier, localiser = runs(unpadded(), boxes="single-class")
    last, bias = head_weights(localiser.network)
    arrays = {**localiser.weights, last: 0 * localiser.weights[last], bias: np.array([0.5, 0.5, 9, 9], np.float32)}
    wide = replace(localiser, weights=arrays)
    (guess,) = Guesser([wide], classifier, scales=(30,)).guess(photo(60, 52), top=1)
    assert guess.box.tolist() == [0, 0, 52, 60]
