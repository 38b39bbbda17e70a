"""The network's logits for every image of a split, computed by one process or shared out among several."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from verydeep.backends.pytorch import network_of
from verydeep.data.batches import batches
from verydeep.data.split import Split
from verydeep.errors import DataError
from verydeep.preprocessing import Preprocessing
from verydeep.processes import Processes


def scores(
    model: nn.Module,
    split: Split,
    *,
    preprocessing: Preprocessing,
    processes: Processes,
    batch: int = 256,
    workers: int = 0,
) -> npt.NDArray[np.float32]:
    """Logits (n, classes) in the split's order, equal on all processes: each image is computed exactly once.

    One centre crop of each image (section 3.2 gives the paper's other protocols). The model's mode is put back.

    Raises:
        DataError: the split has no images, or one of them cannot be read.
    """
    was_training = model.training
    model.eval()
    try:
        return scores_of(
            model,
            split,
            classes=network_of(model).classes,
            preprocessing=preprocessing,
            processes=processes,
            batch=batch,
            workers=workers,
        )
    finally:
        model.train(was_training)


def scores_of(
    compute: Callable[[Tensor], Tensor],
    split: Split,
    *,
    classes: int,
    preprocessing: Preprocessing,
    processes: Processes,
    batch: int = 256,
    workers: int = 0,
) -> npt.NDArray[np.float32]:
    """The same for whatever computes logits (n, classes) of images on the processes' device.

    Raises:
        DataError: the split has no images, or one of them cannot be read.
    """
    logits: Tensor | None = None
    with torch.inference_mode():
        for part in batches(
            split,
            preprocessing=preprocessing,
            augment=None,
            batch=batch,
            seed=0,
            epoch=0,
            rank=processes.rank,
            world=processes.world,
            workers=workers,
            shuffle=False,
        ):
            if logits is None:
                logits = torch.zeros(len(split), classes, device=processes.device)
            if len(part.indices):
                logits[torch.as_tensor(part.indices)] = compute(part.images.to(processes.device)).float()
    if logits is None:
        raise DataError(f"{split.name}: there is no image to evaluate", code="EVAL-EMPTY")
    # Every row is zero on all processes but one, so that the sum is exact.
    return processes.total(logits).cpu().numpy()
