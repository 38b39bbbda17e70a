"""A network as torch.export's .pt2 file, preprocessing and class names inside, and PyTorch to run it without us.

names = {"classes": ""}
model = torch.export.load("model.pt2", extra_files=names).module()
names = json.loads(names["classes"])
"""

import io
from pathlib import Path

import torch

from verydeep.deploy.bundle import Bundle
from verydeep.deploy.formats import Float32, Runner, Size
from verydeep.deploy.torch_graph import graph_of, refusals_told
from verydeep.deploy.torch_runner import by_pytorch
from verydeep.durable import write_synced
from verydeep.errors import VerificationError


def write(bundle: Bundle, path: Path, *, size: Size) -> None:
    """Write the graph, and as its extra files `verydeep` (the description), `preprocessing` and `classes`, all JSON.

    Raises:
        ConfigError: PyTorch makes no graph of it.
    """
    graph, content = graph_of(bundle, size=size), io.BytesIO()
    with refusals_told(bundle):
        torch.export.save(graph, content, extra_files=bundle.described())
    write_synced(path, [content.getbuffer()])


def runner(path: Path) -> Runner:
    """Logits by the graph in the file; VerificationError where it takes no images of a size."""
    compute = by_pytorch(torch.export.load(path).module())

    def run(images: Float32) -> Float32:
        try:
            return compute(images)
        except AssertionError as error:  # a guard of torch.export: one of its `if`s went another way
            raise VerificationError(
                f"the exported graph does not take images of {tuple(images.shape)}: {error}",
                code="EXPORT-MISMATCH",
                hint="Export it with --size fixed, or to ONNX.",
            ) from None

    return run
