"""A network as ExecuTorch's .pte file for phones and small machines, preprocessing and class names inside.

XNNPACK computes what it knows, ExecuTorch's portable kernels the rest. Memory is planned when the file is written, so
there is a largest batch.

    program = executorch.runtime.Runtime.get().load_program("model.pte")
    logits = program.load_method("forward").execute([images])[0]
    names = json.loads(program.load_method("classes").execute([])[0])
"""

from pathlib import Path
from typing import Any

import torch
from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
from executorch.exir import to_edge_transform_and_lower
from executorch.runtime import Runtime
from torch import Tensor

from verydeep.deploy.bundle import Bundle
from verydeep.deploy.formats import Float32, Runner, Size
from verydeep.deploy.torch_graph import graph_of
from verydeep.durable import write_synced
from verydeep.errors import VerificationError

LARGEST_BATCH = 8  # XNNPACK's partitioner takes at most 15, with executorch 1.5


def write(bundle: Bundle, path: Path, *, size: Size) -> None:
    """Write the method `forward`, and `verydeep` (the description), `preprocessing` and `classes`, which give JSON."""
    graph = graph_of(bundle, size=size, largest_batch=LARGEST_BATCH)
    program = to_edge_transform_and_lower(
        graph.run_decompositions({torch.ops.aten.avg_pool3d.default: _mean_of_neighbours}),
        partitioner=[XnnpackPartitioner()],
        constant_methods=bundle.described(),
    ).to_executorch()
    write_synced(path, [program.buffer])


def _mean_of_neighbours(x: Tensor, size: list[int], *_: object) -> Tensor:
    """What PyTorch's LRN asks of a pool in three dimensions, which ExecuTorch does not have: x is (n, 1, c, h, w)."""
    channels = x.shape[2] - size[0] + 1
    parts = [x.narrow(2, first, channels) for first in range(size[0])]
    return torch.stack(parts).mean(0)


def runner(path: Path) -> Runner:
    """Logits by ExecuTorch's runtime; VerificationError where it has not all that the file asks for."""
    try:
        method: Any = Runtime.get().load_program(path).load_method("forward")
    except RuntimeError as error:
        raise _cannot(error) from None

    def run(images: Float32) -> Float32:
        try:
            return method.execute([torch.from_numpy(images)])[0].numpy()
        except RuntimeError as error:
            raise _cannot(error) from None

    return run


def _cannot(error: RuntimeError) -> VerificationError:
    return VerificationError(
        f"ExecuTorch's runtime cannot run the exported file: {error}",
        code="EXPORT-MISMATCH",
        hint="Its log above says what it lacks; take another format.",
    )
