"""The frameworks in which a network can be built. A new one is one file that keeps the contract, and one line here."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, overload

import numpy.typing as npt

from verydeep import extras
from verydeep.engine.choice import EngineInUse, EngineName, check_engine
from verydeep.errors import ConfigError, choices
from verydeep.spec import Network
from verydeep.weights.initial import initial

if TYPE_CHECKING:
    from torch import nn

Array: TypeAlias = npt.NDArray[Any]
BackendName: TypeAlias = Literal["pytorch", "keras", "flax", "mxnet", "onnx"]
Layout: TypeAlias = Literal["channels_first", "channels_last"]


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a backend is: its module, and the package whose classes its models are."""

    module: str
    package: str


BACKENDS: dict[str, Entry] = {
    "pytorch": Entry("verydeep.backends.pytorch", "torch"),
    "keras": Entry("verydeep.backends.keras3", "keras"),
    "flax": Entry("verydeep.backends.flax_nnx", "flax"),
    "mxnet": Entry("verydeep.backends.mxnet_gluon", "mxnet"),
    "onnx": Entry("verydeep.backends.onnx_graph", "onnx"),
}


def module_of(name: str) -> ModuleType:
    """The module of a backend.

    Raises:
        ConfigError: no backend has this name, or its framework is not installed.
    """
    if name not in BACKENDS:
        raise ConfigError(f"there is no backend {name!r}", code="BACKEND-UNKNOWN", hint=choices(name, BACKENDS))
    return extras.load(BACKENDS[name].module, extra=name)


def backend_of(model: object) -> ModuleType:
    """The backend whose framework the model is of; no framework is imported that is not there already.

    Raises:
        ConfigError: the model is of none of them.
    """
    return module_of(_name_of(model))


def _name_of(model: object) -> str:
    names = {entry.package: name for name, entry in BACKENDS.items()}
    for kind in type(model).__mro__:  # a Keras model may be a PyTorch module too: what comes first counts
        package = kind.__module__.partition(".")[0]
        if package in names:
            return names[package]
    raise ConfigError(
        f"a {type(model).__name__} is no model of {', '.join(BACKENDS)}",
        code="MODEL-FOREIGN",
        hint="Build one with verydeep.build.",
    )


@overload
def build(
    network: Network,
    *,
    backend: Literal["pytorch"] = "pytorch",
    seed: int = 0,
    init: str = "he",
    weights: Mapping[str, Array] | None = None,
    layout: Layout = "channels_first",
) -> "nn.Sequential": ...
@overload
def build(
    network: Network,
    *,
    backend: BackendName,
    seed: int = 0,
    init: str = "he",
    weights: Mapping[str, Array] | None = None,
    layout: Layout = "channels_first",
) -> Any: ...
def build(
    network: Network,
    *,
    backend: str = "pytorch",
    seed: int = 0,
    init: str = "he",
    weights: Mapping[str, Array] | None = None,
    layout: Layout = "channels_first",
) -> Any:
    """An ordinary model of the framework, ready to be trained, its layers named as in the description.

    The same weights give the same answers in every framework. What a model takes is what is usual there: PyTorch,
    MXNet and ONNX read images (n, channels, height, width), Keras and Flax (n, height, width, channels).

    Args:
        network: What to build.
        backend: pytorch: an `nn.Sequential` in train mode. keras: a `keras.Model`. flax: an `nnx.Module` in train mode.
            mxnet: a Gluon `HybridSequential`. onnx: a `ModelProto`, for inference.
        seed: Of the initial weights; the same for every backend.
        init: Rule of the initial weights: he, torchvision, glorot, paper, caffe.
        weights: Arrays by canonical name instead of initial ones.
        layout: PyTorch: how maps lie in memory; the numbers are the same.

    Raises:
        ConfigError: an unknown backend, rule or layout; a framework that is not installed; a layer's name that the
            framework needs for itself.
        WeightsError: `weights` are not those of the network.
    """
    chosen = module_of(backend)
    arrays = initial(network, rule=init, seed=seed) if weights is None else weights
    if backend == "pytorch":
        return chosen.build(network, arrays, layout=layout)
    if layout != "channels_first":
        raise ConfigError(
            f"layout is a choice of pytorch, not of {backend}", code="LAYOUT-UNKNOWN", hint="Leave it out."
        )
    return chosen.build(network, arrays)


def set_weights(model: Any, arrays: Mapping[str, Any]) -> None:
    """Copy arrays by canonical name into a model of any backend, all or nothing.

    Raises:
        ConfigError: the model is not what `build` gave.
        WeightsError: a name is missing or unknown, or a shape differs; the model is unchanged.
    """
    backend_of(model).set_weights(model, arrays)


def get_weights(model: Any) -> dict[str, Array]:
    """Copies of all weights of a model of any backend: canonical names, OIHW and (out, in), NumPy; they load into any.

    Raises:
        ConfigError: the model is not what `build` gave.
    """
    return backend_of(model).get_weights(model)


def network_of(model: Any) -> Network:
    """The description of a model that `build` gave; ConfigError for any other."""
    return backend_of(model).network_of(model)


def features(model: Any, images: Any, layers: str | Iterable[str], *, engine: EngineName = "auto") -> dict[str, Any]:
    """The outputs of layers by name, without gradients, computed no further than the deepest of them.

    Of a PyTorch model in evaluation, on the CPU and in float32, our own kernels compute them where they can; then they
    differ from PyTorch's by rounding.

    Args:
        model: What `build` gave. A PyTorch model's mode is kept: call ``model.eval()`` first for the features of a
            trained network. All others compute as in evaluation.
        images: (n, channels, height, width), preprocessed: a tensor for PyTorch, a NumPy array for all others. The
            outputs are of the same type, (n, channels, height, width) or (n, features).
        layers: Names such as ("relu3_3", "fc7"), or one name.
        engine: Of a PyTorch model: "pytorch" is PyTorch, bit for bit as in the model's own call; "verydeep" our
            kernels or an error that says why they cannot. `engine_of` says what "auto" takes.

    Raises:
        ConfigError: no layer has this name, the model is not what `build` gave, a linear layer that is needed takes
            images of one size only; or as in `engine_of`.
    """
    taps = (layers,) if isinstance(layers, str) else tuple(layers)
    chosen = backend_of(model)
    choice = engine_of(model, images, engine=engine)
    if choice.engine == "verydeep":
        from verydeep.engine import of_model

        return of_model.features(model, images, taps)
    if choice.engine != "pytorch":
        return chosen.run(model, images, mode="eval", taps=taps)
    import torch  # loaded already: the model is of it

    with torch.no_grad():
        return chosen.run(model, images, taps=taps)


def engine_of(model: Any, images: Any, *, engine: EngineName = "auto") -> EngineInUse:
    """The engine that `features` computes these images in, and why it is not ours where it is not.

    Nothing is computed. A model may be changed, and so may the answer: ask with the arguments of the call that counts.

    Args:
        model: As in `features`.
        images: As in `features`.
        engine: As in `features`.

    Returns:
        Its ``engine`` ("verydeep"), its ``name`` ("verydeep avx512 float32") and the ``reason`` why it is not ours.

    Raises:
        ConfigError: the model is not what `build` gave; code ENGINE-UNKNOWN, there is no such engine;
            ENGINE-UNAVAILABLE, it cannot run here; ENGINE-IMAGES, the images of a PyTorch model are no tensor.
    """
    check_engine(engine)
    name = _name_of(model)
    if name == "pytorch":
        from verydeep.engine import of_model

        choice = of_model.choose_for(model, images, engine=engine)
        return EngineInUse(choice.engine, choice.name, choice.reason)
    network_of(model)  # or it is refused
    if engine != "auto":
        raise ConfigError(
            f"the engine {engine} cannot compute a model of {name}",
            code="ENGINE-UNAVAILABLE",
            hint=f"{name} itself can: leave engine out.",
        )
    return EngineInUse(name, name, f"it is a model of {name}; our kernels compute those of pytorch")
