"""The contract that any backend must pass: every network, every layer, against the float64 reference."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from verydeep.backends import numpy_reference
from verydeep.backends.odd_networks import ODD_NETWORKS
from verydeep.errors import VerificationError
from verydeep.families.catalog import CATALOG, network
from verydeep.spec import BatchNorm, Network, Parallel, walk
from verydeep.weights.initial import Weights, initial

Array = npt.NDArray[Any]

TOLERANCE = 1e-5  # of the largest number of a layer's output, in float32
NARROW = 0.125  # width at which every network is small enough for the reference


class Backend(Protocol):
    """What the contract asks of a framework; images and outputs are NumPy, (n, c, h, w) or (n, features)."""

    def build(self, network: Network, arrays: Mapping[str, Array]) -> Any:
        """A model of the framework that holds `arrays`."""
        ...

    def run(self, model: Any, images: Array, *, mode: numpy_reference.Mode, taps: Iterable[str]) -> dict[str, Array]:
        """The outputs of the named layers; in "train" mode batch norm uses the batch and updates its statistics."""
        ...

    def get_weights(self, model: Any) -> dict[str, Array]:
        """The model's arrays by canonical name, OIHW."""
        ...


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far a backend's outputs are from the reference: the largest difference over the largest logit."""

    network: str
    mode: numpy_reference.Mode
    error: float


def check_backend(backend: Backend, *, tolerance: float = TOLERANCE) -> tuple[Agreement, ...]:
    """Hold `backend` to the contract with the odd networks and every network in `CATALOG`, narrow.

    For each network: the shape of every layer's output is the inferred one; in eval mode every layer's output, in
    train mode the logits and the running statistics after the batch, are within `tolerance` of the reference; the
    weights come out exactly as they went in.

    Args:
        backend: What is checked.
        tolerance: In units of the largest number that is compared. In train mode the float32 rounding of batch norm
            adds up over the layers: where a framework sums less carefully than PyTorch, 1e-4 is still honest.

    Raises:
        VerificationError: the first rule that does not hold, naming network, layer and error.
    """
    return tuple(agreement for sample in samples() for agreement in check_network(backend, sample, tolerance=tolerance))


def samples() -> Iterator[Network]:
    """The odd networks, then every network of the catalogue, thin and without dropout, at an odd size if it can."""
    yield from ODD_NETWORKS
    for name, family in CATALOG.items():
        yield narrow(name, family)


def narrow(name: str, family: Callable[..., Network]) -> Network:
    """The network with an eighth of the channels, 10 classes, no dropout; VGG at an odd rectangle, ResNet at 96."""
    standard = family()
    options: dict[str, Any] = {"classes": 10, "width": NARROW}
    layers = {step.layer.name for step in walk(standard)}
    if "fc7" in layers and "fc8" in layers:
        options["fc"] = (48, 40)
    if any(layer.startswith("drop") for layer in layers):
        options["dropout"] = 0.0
    if name.startswith("vgg"):
        options["input"] = (3, 70, 45)
    elif name.startswith("resnet") and standard.input == (3, 224, 224):
        options["input"] = (3, 97, 96)
    return network(name, **options)


def check_network(backend: Backend, network: Network, *, tolerance: float = TOLERANCE) -> tuple[Agreement, ...]:
    """The contract for one network, which must be without dropout; see `check_backend`."""
    arrays = sample_weights(network)
    images = np.random.default_rng(1).standard_normal((6, *network.input)).astype(np.float32)
    steps = walk(network)
    names = [step.layer.name for step in steps]
    agreements: list[Agreement] = []
    for mode in ("eval", "train"):
        model = backend.build(network, arrays)
        _check_round_trip(network, backend.get_weights(model), arrays)
        found = backend.run(model, images, mode=mode, taps=names)
        for step in steps:
            if step.layer.name not in found:
                raise _broken(network, mode, f"{step.layer.name} was tapped and has no output")
            shape = tuple(found[step.layer.name].shape)
            if shape != (len(images), *step.after.shape):
                raise _broken(network, mode, f"{step.layer.name} gives {shape}, not {(len(images), *step.after.shape)}")
        reference = numpy_reference.run(network, arrays, images, mode=mode, taps=names)
        if mode == "train":
            found = {**found, **backend.get_weights(model)}
        errors = {name: _error(found[name], reference[name]) for name in _compared(names, reference, mode)}
        for name, error in errors.items():
            if not error <= tolerance:
                detail = f"{name} is off by {error:.1e} of its largest number, more than {tolerance:.1e}"
                raise _broken(network, mode, detail)
        agreements.append(Agreement(network.name, mode, errors[names[-1]]))
    return tuple(agreements)


def sample_weights(network: Network, *, seed: int = 0) -> Weights:
    """He weights with biases that are not 0 and batch norm that is not the identity.

    The last batch norm of each residual body is small, as in practice: with scales of 1, the float32 rounding of
    any framework grows a thousandfold through the fifty units of ResNet-152 in train mode.
    """
    arrays = initial(network, seed=seed)
    stream = np.random.default_rng(seed)
    norms = {step.layer.name for step in walk(network) if isinstance(step.layer, BatchNorm)}
    small = {
        step.layer.paths[0][-1].name
        for step in walk(network)
        if isinstance(step.layer, Parallel) and step.layer.join == "add"
    }
    for name, array in arrays.items():
        layer, kind = name.split(".")
        if layer in norms and kind in ("weight", "running_var"):
            scale = 0.1 if layer in small and kind == "weight" else 1.0
            arrays[name] = (scale * stream.uniform(0.5, 1.5, array.shape)).astype(np.float32)
        elif array.ndim == 1:
            arrays[name] = (0.1 * stream.standard_normal(array.shape)).astype(np.float32)
    return arrays


def _compared(names: list[str], reference: Mapping[str, Array], mode: numpy_reference.Mode) -> list[str]:
    """In eval mode every layer; in train mode, where rounding grows with depth, the logits and the statistics."""
    if mode == "eval":
        return names
    return [names[-1], *(name for name in reference if name.endswith((".running_mean", ".running_var")))]


def _error(found: Array, reference: Array) -> float:
    return float(np.abs(found - reference).max() / np.abs(reference).max())


def _check_round_trip(network: Network, found: Mapping[str, Array], arrays: Mapping[str, Array]) -> None:
    if set(found) != set(arrays):
        raise _broken(network, "eval", f"weights out are not those in: {sorted(set(found) ^ set(arrays))[:3]}")
    for name, array in arrays.items():
        if not np.array_equal(found[name], array):
            raise _broken(network, "eval", f"{name} came out changed")


def _broken(network: Network, mode: str, detail: str) -> VerificationError:
    return VerificationError(f"{network.name} in {mode} mode: {detail}", code="BACKEND-CONTRACT")
