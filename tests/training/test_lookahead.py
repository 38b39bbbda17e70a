"""Lookahead is its formula: a slow average, and weights that are pulled to it."""

import numpy as np
import torch

from verydeep.training.lookahead import Lookahead


def test_it_is_the_loop_of_the_formula_in_numpy():
    stream = np.random.default_rng(0)
    changes = stream.standard_normal((13, 2, 5))
    tensors = {"weight": torch.zeros(5, dtype=torch.float64), "count": torch.tensor(0)}
    tensors["statistic"] = torch.ones(5, dtype=torch.float64)
    ours = Lookahead(tensors, every=5)
    fast = np.stack((np.zeros(5), np.ones(5)))
    slow = fast.copy()
    for number, change in enumerate(changes, start=1):
        tensors["weight"] += torch.from_numpy(change[0])
        tensors["statistic"] += torch.from_numpy(change[1])
        tensors["count"] += 1
        fast += change
        if number % 5 == 0:
            kept = 0.95**5 * (number / 13) ** 3
            slow = kept * slow + (1 - kept) * fast
            fast = slow.copy()
        if number == 13:
            fast = slow.copy()
        ours.follow(step=number, steps=13)
        np.testing.assert_allclose(tensors["weight"].numpy(), fast[0], atol=1e-12)
        np.testing.assert_allclose(tensors["statistic"].numpy(), fast[1], atol=1e-12)
    assert tensors["count"] == 13  # whole numbers are left alone


def test_the_average_of_a_checkpoint_takes_its_place():
    tensors = {"weight": torch.zeros(3)}
    ours = Lookahead(tensors, every=2)
    ours.restore({"weight": torch.ones(3)})
    ours.follow(step=9, steps=9)
    assert tensors["weight"].tolist() == [1, 1, 1]
