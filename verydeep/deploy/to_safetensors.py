"""A network as a file of our own (weights/canonical.py): weights, description, preprocessing and class names."""

from pathlib import Path

from verydeep.backends import pytorch
from verydeep.deploy.bundle import Bundle
from verydeep.deploy.formats import Runner, Size
from verydeep.deploy.torch_runner import by_pytorch
from verydeep.weights import canonical


def write(bundle: Bundle, path: Path, *, size: Size) -> None:
    """Write what `canonical.load` and every command that takes a model's file read; `size` is said by the bundle."""
    del size
    canonical.save(
        path,
        network=bundle.network,
        weights=bundle.weights,
        preprocessing=bundle.preprocessing.to_json(),
        classes=bundle.classes,
    )


def runner(path: Path) -> Runner:
    """Logits by PyTorch, of the network that the file describes."""
    file = canonical.load(path)
    model = pytorch.build(file.network, file.weights).eval()
    return by_pytorch(model)
