"""The forward passes of the paper's protocols, in a process of its own: dense, 150 crops, features, the cut network.

Only what a network computes is here: reading, rescaling and cropping a photograph cost the same in all of them. The
photograph is square noise, because a network takes as long for noise.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from verydeep.backends import pytorch
from verydeep.benchmark.engines.task import noise
from verydeep.benchmark.ready import Ready
from verydeep.rewrite.cut import cut
from verydeep.rewrite.dense import dense, dense_weights
from verydeep.spec import Network, weights
from verydeep.weights import canonical

FLIPS = 2  # an image and its mirror
GRID = 25  # 5x5 crops of an image, all computed at once

Weights = Mapping[str, Any]
Compute = Callable[[Tensor], Any]


def make(job: Mapping[str, Any]) -> Ready:
    """What computes the job's ``part``: "dense", "crops", "features" or "cut", with its engine."""
    torch.set_num_threads(job["threads"])
    model = canonical.load(Path(job["model"]))
    own = torch.from_numpy(noise((job["batch"], *model.network.input), seed=job["seed"]))
    match job["part"]:
        case "dense":
            compute = _engine(job, dense(model.network), dense_weights(model.network, model.weights))
            channels = model.network.input[0]
            images = [torch.from_numpy(noise((FLIPS, channels, q, q), seed=job["seed"])) for q in job["scales"]]
            return _ready(job, lambda: [compute(one) for one in images])
        case "crops":
            compute = _engine(job, model.network, model.weights)
            crops = torch.from_numpy(noise((GRID, *model.network.input), seed=job["seed"]))
            return _ready(job, lambda: [compute(crops) for _ in range(FLIPS * len(job["scales"]))])
        case "features":
            compute = _tapped(job, model.network, model.weights)
            return _ready(job, lambda: compute(own))
        case "cut":
            short = cut(model.network, job["tap"])
            compute = _engine(job, short, {name: model.weights[name] for name in weights(short)})
            return _ready(job, lambda: compute(own))
    raise ValueError(f"no protocol has a part {job['part']!r}")


def _ready(job: Mapping[str, Any], compute: Callable[[], Any]) -> Ready:
    def call() -> Any:
        with torch.inference_mode():
            compute()
        return np.zeros(())

    return Ready(call, {"version": torch.__version__, "engine": job["engine"]})


def _engine(job: Mapping[str, Any], network: Network, arrays: Weights) -> Compute:
    """Logits for images of any size that the network takes."""
    if job["engine"] == "verydeep":
        return _ours(job, network, arrays)
    return _by_torch(job, pytorch.build(network, arrays, layout=_layout(job)).eval())


def _tapped(job: Mapping[str, Any], network: Network, arrays: Weights) -> Compute:
    """The map at the job's ``tap``, computed no further."""
    tap = job["tap"]
    if job["engine"] == "verydeep":
        engine = _ours(job, network, arrays)
        return lambda images: engine.features(images, (tap,))
    model = pytorch.build(network, arrays, layout=_layout(job)).eval()
    return _by_torch(job, lambda images: pytorch.run(model, images, taps=(tap,)))


def _ours(job: Mapping[str, Any], network: Network, arrays: Weights) -> Any:
    from verydeep.engine.engine import Engine  # only where it can run, as `protocols` has found out

    return Engine(network, dict(arrays), threads=job["threads"])


def _by_torch(job: Mapping[str, Any], compute: Compute) -> Compute:
    if _layout(job) == "channels_first":
        return compute
    return lambda images: compute(images.contiguous(memory_format=torch.channels_last))


def _layout(job: Mapping[str, Any]) -> Any:
    return "channels_last" if job["engine"] == "torch-channels-last" else "channels_first"
