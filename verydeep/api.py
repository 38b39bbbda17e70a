"""The Python face of a network's life: train, resume, evaluate, predict, push."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from verydeep import extras
from verydeep.errors import ConfigError
from verydeep.evaluation.evaluate import evaluate
from verydeep.evaluation.predict import Prediction
from verydeep.evaluation.predict import predict as predict_images
from verydeep.run import Run, open_run
from verydeep.settings.recipes import resolve
from verydeep.spec import Network
from verydeep.training import session

_DECIDED = ("net", "arch", "batch_norm", "blocks", "width", "fc", "dropout")  # by a network that is given ready-made

__all__ = ["evaluate", "predict", "push", "resume", "train"]


def train(
    network: Network | str | None = None,
    data: str | Path = "digits",
    *,
    recipe: str = "auto",
    out: str | Path | None = None,
    **settings: Any,
) -> Run:
    """Train a network and return its run; `verydeep train` in Python.

    On a CPU with glibc this process keeps the memory that it has freed from then on (`verydeep.training.memory`).

    Args:
        network: A network, its name, or None for the recipe's own.
        data: A data set's name or a folder of class folders.
        recipe: A recipe's name; "auto" is what suits the network and the data.
        out: The run folder, new or empty; None is the first free of ``run-001``, ``run-002``, ...
        settings: Any field of `verydeep.settings.config.Config`: ``epochs=5, seed=1, data_root="data"``.

    Raises:
        ConfigError: an unknown setting (with the nearest name), a value out of range, or settings that disagree.
        DataError, ResourceError, NumericalError, Interrupted: as `verydeep.training.session.train`.
    """
    if not isinstance(network, Network | str | None):
        raise ConfigError(
            f"a network or its name is wanted, not {type(network).__name__}", code="NET-KIND", hint='Try "vgg11_bn".'
        )
    described = network if isinstance(network, Network) else None
    twice = [name for name in _DECIDED if name in settings] if described is not None else []
    if network is not None and (twice or "net" in settings):
        raise ConfigError(
            f"the network is given, and also {', '.join(twice or ['net'])}",
            code="OPTIONS-DISAGREE",
            hint="Describe the network as it shall be, or give its name with these settings.",
        )
    named = {"net": network} if isinstance(network, str) else {}
    config = resolve({"data": str(data), "recipe": recipe, **named, **settings}, network=described)
    return session.train(config, network=described, out=None if out is None else Path(out))


def resume(run: str | Path, *, allow_data_change: bool = False, **changes: Any) -> Run:
    """Go on with a run that was interrupted or killed; `verydeep resume` in Python.

    Args:
        run: The folder of the run.
        allow_data_change: Go on although the data set has changed.
        changes: New values for epochs, patience, workers, device, data_root and the checkpoints' intervals.

    Raises:
        ConfigError: no run there, or a change that would make it another run.
        DataError, WeightsError, ResourceError, NumericalError, Interrupted: as `verydeep.training.session.resume`.
    """
    return session.resume(Path(run), changes, allow_data_change=allow_data_change)


def predict(
    run: Run | str | Path,
    images: str | Path | Sequence[str | Path],
    *,
    batch: int = 32,
    top: int = 5,
    engine: Literal["auto", "verydeep", "pytorch"] = "auto",
) -> list[Prediction]:
    """The classes that a run's network sees in image files; `verydeep predict` in Python.

    Args:
        run: A run, its folder, or a model's file.
        images: Files, folders or patterns; or one of them.
        batch: Images computed at once.
        top: Classes for each image.
        engine: That computes; "auto" is our kernels where they are right and fast, else PyTorch.

    Raises:
        ConfigError: no finished run there, a source that is a URL, or no such engine here.
        DataError: a source names no image; a file that cannot be read raises nothing, its prediction has an `error`.
        WeightsError: the model is damaged, or nobody knows its preprocessing or its classes.
    """
    sources = [images] if isinstance(images, str | Path) else images
    return predict_images(run if isinstance(run, Run) else open_run(run), sources, batch=batch, top=top, engine=engine)


def push(
    run: Run | str | Path,
    repo: str,
    *,
    visibility: Literal["public", "private"] = "public",
    token_file: Path | None = None,
) -> str:
    """Give a run's model to a hub and return the commit's address; `verydeep push` in Python.

    Args:
        run: A run or its folder.
        repo: OWNER/NAME.
        visibility: Of a repository that is made; "private" sends nothing to a public one.
        token_file: Holds the token of one who may write there; None takes HF_TOKEN.

    Raises:
        ConfigError, WeightsError, VerificationError: as `verydeep.hub.push.push`; or huggingface_hub is not installed.
    """
    hub = extras.load("verydeep.hub.push", extra="hub")
    return hub.push(run, repo, visibility=visibility, token_file=token_file)
