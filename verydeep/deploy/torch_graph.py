"""A network as the graph of operations that torch.export makes of it, for any batch: what .pt2 and .pte files hold."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.export import Dim, ExportedProgram
from torch.fx.experimental import _config as symbolic_shapes

from verydeep.backends import pytorch
from verydeep.deploy.bundle import Bundle
from verydeep.deploy.formats import Size
from verydeep.errors import ConfigError


def graph_of(bundle: Bundle, *, size: Size, largest_batch: int | None = None) -> ExportedProgram:
    """The network in evaluation, for float32 images (n, channels, height, width).

    Args:
        bundle: Its weights become the graph's.
        size: "fixed" is the network's own height and width; "free" any from there on.
        largest_batch: The most images at once; None is any number.

    Raises:
        ConfigError: PyTorch makes no graph of it.
    """
    model = pytorch.build(bundle.network, bundle.weights).eval()
    batch = Dim("batch", min=1, max=largest_batch)
    example = torch.zeros(2, *bundle.network.input)  # 2, because a dimension of 1 is taken for one that never changes
    if size == "fixed":
        with refusals_told(bundle):
            return torch.export.export(model, (example,), dynamic_shapes=({0: batch},))
    # Without this a graph that was made for a map of 1x2 refuses maps of 2x1: strides are told apart by sizes of 1.
    with refusals_told(bundle), symbolic_shapes.patch(backed_size_oblivious=True):  # pyright: ignore - made at import
        return torch.export.export(
            model, (_larger(bundle, example),), dynamic_shapes=({0: batch, 2: Dim.DYNAMIC, 3: Dim.DYNAMIC},)
        )


@contextmanager
def refusals_told(bundle: Bundle) -> Iterator[None]:
    """PyTorch's many errors, which have no common class, as one of ours: code EXPORT-NETWORK."""
    try:
        yield
    except Exception as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise ConfigError(
            f"PyTorch makes no graph of {bundle.network.name}: {lines[0][:300]}",
            code="EXPORT-NETWORK",
            hint="Export it with --size fixed, or to ONNX.",
        ) from None


def _larger(bundle: Bundle, example: torch.Tensor) -> torch.Tensor:
    """An oblong image with several places to score, none of them at a size that is special."""
    down, right = bundle.network.output.step
    return torch.nn.functional.pad(example, (0, 3 * right + 3, 0, 2 * down + 1))
