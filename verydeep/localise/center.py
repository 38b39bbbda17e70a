"""Protocol 1 of appendix A: the box of the image's true class, from its centre crop."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from verydeep.data.split import Split
from verydeep.engine.choice import EngineName
from verydeep.engine.choose import choose, ready
from verydeep.evaluation.scores import scores_of
from verydeep.localise.annotated import Annotated, suited
from verydeep.localise.box import Boxes
from verydeep.localise.frame import centre_frame
from verydeep.localise.head import of_class
from verydeep.localise.localiser import Localiser
from verydeep.preprocessing import Preprocessing
from verydeep.processes import Processes, joined


def center_boxes(
    localiser: Localiser, data: Annotated, *, batch: int = 256, device: str = "auto", engine: EngineName = "auto"
) -> Boxes:
    """The box of each image's own class, [n, 4]: corners in pixels of the image.

    Raises:
        DataError: an image cannot be read, or a class is none of the localiser's.
        ConfigError: no such device or engine here.
    """
    data = suited(data, classes=localiser.classes, channels=localiser.preprocessing.channels)
    with joined(device) as processes:
        compute = ready(
            choose(engine, device=processes.device), localiser.network, localiser.weights, device=processes.device
        )
        outputs = center_outputs(
            compute,
            data.split,
            outputs=localiser.network.classes,
            preprocessing=localiser.preprocessing,
            processes=processes,
            batch=batch,
        )
    return boxes_in_images(outputs, data, preprocessing=localiser.preprocessing)


def center_outputs(
    compute: Callable[[Tensor], Tensor],
    split: Split,
    *,
    outputs: int,
    preprocessing: Preprocessing,
    processes: Processes,
    batch: int,
) -> NDArray[np.float32]:
    """What a network of so many outputs gives for the centre crop of each image, [n, outputs]."""
    return scores_of(compute, split, classes=outputs, preprocessing=preprocessing, processes=processes, batch=batch)


def boxes_in_images(outputs: NDArray[Any], data: Annotated, *, preprocessing: Preprocessing) -> Boxes:
    """The box of each image's own class, from the outputs for its centre crop: corners in pixels of the image."""
    own = of_class(outputs, data.split.labels)
    frames = (centre_frame((int(height), int(width)), preprocessing) for height, width in data.sizes)
    return np.array([frame.leave(box) for frame, box in zip(frames, own, strict=True)])
