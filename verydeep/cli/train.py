"""`verydeep train`: from a data set's name to a run folder."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from verydeep.cli.options import FLAG
from verydeep.errors import ConfigError
from verydeep.settings.config import Config
from verydeep.settings.headings import MAIN
from verydeep.settings.recipes import resolve
from verydeep.settings.sources import from_environment, from_yaml, laid_over


def run(
    data: str | None = None,
    /,
    *,
    settings: Annotated[Config | None, Parameter(name="*", show_default=False)] = None,
    out: Annotated[Path | None, MAIN, Parameter(help="The run folder, new or empty [default: run-001, ...].")] = None,
    dry_run: Annotated[
        bool, MAIN, FLAG, Parameter(help="Check data, shapes, memory and disk, take one step, and stop.")
    ] = False,
    config: Annotated[
        Path | None, MAIN, Parameter(help="YAML file of options, such as a run's config.yaml; options here come first.")
    ] = None,
    print_config: Annotated[
        bool, MAIN, FLAG, Parameter(help="Print all that a run would use, as YAML, and stop.")
    ] = False,
) -> None:
    """Train a network on a data set; leaves a run folder with the model, its accuracy and a report.

    What is not given comes from the recipe, which suits the data and the network: `--print-config` shows it. An
    option may also be a variable: VERYDEEP_EPOCHS=5 is `--epochs 5`.

    Args:
        data: A data set's name (`verydeep list data`) or a folder of class folders; digits if nothing is given.
    """
    given = from_yaml(config) if config is not None else {}
    for nearer in (from_environment(), _options(data, settings)):
        given = laid_over(given, nearer)
    resolved = resolve(given)
    if print_config:
        print(resolved.to_yaml(), end="")
        return
    if dry_run:
        from verydeep.training.rehearsal import rehearse

        print(rehearse(resolved, out=out))
        return
    from verydeep.training.session import train

    train(resolved, out=out)


def _options(data: str | None, settings: Config | None) -> dict[str, Any]:
    """The fields that the command line sets."""
    given = {name: getattr(settings, name) for name in settings.model_fields_set} if settings is not None else {}
    if data is None:
        return given
    if given.setdefault("data", data) != data:
        raise ConfigError(
            f"the data set is {data} and also --data {given['data']}", code="OPTIONS-DISAGREE", hint="Give one of them."
        )
    return given
