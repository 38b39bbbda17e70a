"""The probability of each class for each image of a split, by one of the paper's protocols (arXiv:1409.1556, 3.2)."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from verydeep.data.preprocess import normalise
from verydeep.data.split import Split, fingerprint
from verydeep.engine.choice import EngineName
from verydeep.engine.choose import choose, ready
from verydeep.errors import DataError
from verydeep.evaluation.alike import alike
from verydeep.evaluation.metrics import Member, check_finite
from verydeep.evaluation.order import mean, posterior
from verydeep.evaluation.protocol import Protocol
from verydeep.evaluation.room import MEMORY, refuse_below_one, room_for
from verydeep.processes import Processes, joined
from verydeep.rewrite.dense import dense_weights
from verydeep.run import Run
from verydeep.settings.config import Config


@dataclass(frozen=True, slots=True, eq=False)
class Posteriors:
    """The probabilities of the classes for the images of a split, and where they come from."""

    array: NDArray[np.float64]  # [n, classes]; each row adds up to 1
    labels: NDArray[np.int64]  # [n], an index into `classes`
    classes: tuple[str, ...]
    engine: str  # that computed the scores
    images: str  # the fingerprint of the split
    members: tuple[Member, ...]  # the runs whose posteriors these are, or are the mean of


def posteriors(
    run: Run,
    images: Split,
    *,
    protocol: Protocol,
    device: str = "auto",
    batch: int = 256,
    memory: int = MEMORY,
    engine: EngineName = "auto",
    watch: Callable[[int, int], None] = lambda done, total: None,
) -> Posteriors:
    """What a run's network says of each image of a split.

    Args:
        run: Gives network, weights and preprocessing.
        images: With labels that are indices into the run's classes, as `evaluate.labelled` gives them.
        protocol: As `protocol_for` gives it for this run.
        device: "auto", "cpu", "cuda" or "cuda:N".
        batch: Images, or crops, that are computed at once if there is room.
        memory: Bytes of the maps that may be alive at once; an image whose maps take more is computed in parts.
        engine: That computes, as `verydeep.engine.choose` takes it.
        watch: Is told now and then how many images have been computed of how many; each counts once for each scale.

    Raises:
        ConfigError: no such device or engine here; `batch` or `memory` is below 1.
        DataError: the split has no images, or one of them cannot be read.
        NumericalError: the network's scores are not finite.
        ResourceError: code EVAL-MEMORY; an image, or the smallest part of it, takes more memory than there is.
        SpecError: the network has no dense form.
    """
    with joined(device) as processes:
        return share_of(
            run, images, protocol=protocol, processes=processes, batch=batch, memory=memory, engine=engine, watch=watch
        )


def share_of(
    run: Run,
    images: Split,
    *,
    protocol: Protocol,
    processes: Processes,
    batch: int,
    memory: int,
    engine: EngineName,
    watch: Callable[[int, int], None],
) -> Posteriors:
    """The same, where this process has joined the others already; all of them get all posteriors."""
    refuse_below_one(batch=batch, memory=memory)
    if not len(images):
        raise DataError(f"{images.name}: there is no image to evaluate", code="EVAL-EMPTY")
    room = room_for(run, images, protocol=protocol, memory=memory)
    weights = run.weights if room.network is run.network else dense_weights(run.network, run.weights)
    settings = run.settings or Config()
    choice = choose(engine, device=processes.device)
    compute = ready(choice, room.network, weights, device=processes.device, layout=settings.layout)
    own = np.arange(len(images))[processes.rank :: processes.world]
    scales = protocol.scales or (None,)

    def scores(pixels: NDArray[np.uint8]) -> Tensor:
        return compute(normalise(pixels, run.preprocessing).to(processes.device))

    def at_scale(number: int, scale: int | None) -> Tensor:
        found = torch.zeros(len(images), run.network.classes, dtype=torch.float64, device=processes.device)
        done = number * len(own)
        for part in alike(
            images,
            indices=own,
            scale=scale,
            preprocessing=run.preprocessing,
            at_once=lambda image: room.at_once(image, batch=batch),
            workers=settings.workers,
        ):
            image = part.pixels.shape[2], part.pixels.shape[3]
            found[torch.as_tensor(part.indices)] = posterior(
                scores,
                part.pixels,
                protocol=protocol,
                parts=room.parts(image),
                crop=None if run.preprocessing.crop == "none" else run.preprocessing.size,
                at_once=room.crops_at_once(batch),
            )
            done += len(part.indices)
            watch(done, len(scales) * len(own))
        return found

    with torch.inference_mode():
        # Every row is zero on all processes but one, so that the sum is exact.
        array = processes.total(mean(at_scale(*each) for each in enumerate(scales))).cpu().numpy()
    check_finite(array)
    members = (member_of(run, protocol),)
    return Posteriors(array, images.labels, images.classes, choice.name, fingerprint(images), members)


def member_of(run: Run, protocol: Protocol) -> Member:
    """How a run that was tested by a protocol is named among those that are fused."""
    return Member(str(run.path), protocol.kind, protocol.scales, protocol.flip)
