"""Twenty steps and an evaluation of 61 images, in as many processes as torchrun started; see test_processes.py."""

import os
import sys

import numpy as np

from verydeep.backends import pytorch
from verydeep.data import catalog
from verydeep.data.batches import batches
from verydeep.data.split import take
from verydeep.evaluation.scores import scores
from verydeep.families.vgg import vgg
from verydeep.preprocessing import Preprocessing
from verydeep.processes import joined
from verydeep.settings.config import Config
from verydeep.training.step import take_step
from verydeep.training.trainee import trainee
from verydeep.weights.initial import initial


def main() -> None:
    config = Config(lr=0.05, batch=63)  # shares of 32 and 31 images
    network = vgg(((1, 6), (1, 8)), input=(1, 8, 8), classes=10, fc=(12,), dropout=0.0)
    train = catalog.load("digits", split="train")
    test = take(catalog.load("digits", split="test"), np.arange(61))
    fed = Preprocessing(channels=1, size=(8, 8), resize=None, crop="center", mean=(78.0,), std=(96.0,), color="grey")
    with joined("cpu") as processes:
        learner = trainee(network, initial(network), config, processes)
        shares = batches(
            train,
            preprocessing=fed,
            augment=None,
            batch=config.batch,
            seed=0,
            epoch=0,
            rank=processes.rank,
            world=processes.world,
        )
        for number, batch in zip(range(20), shares, strict=False):
            take_step(
                learner.called,
                batch,
                learner.optimizer,
                config=config,
                processes=processes,
                step=number,
                rate=config.lr,
                stop=False,
            )
        logits = scores(learner.model, test, preprocessing=fed, processes=processes, batch=16)
        if processes.is_first:
            np.savez(sys.argv[1], **pytorch.get_weights(learner.model), logits=logits, count=len(logits))


main()
os._exit(0)  # as verydeep.cli.main does: gloo's threads sometimes abort while Python cleans up
