"""`verydeep train`: from a data set's name to a run folder."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from verydeep.train.config import Config, from_environment, from_yaml
from verydeep.train.recipes import resolve


def run(
    data: str | None = None,
    /,
    *,
    settings: Annotated[Config | None, Parameter(name="*", show_default=False, negative_iterable="")] = None,
    config: Annotated[Path | None, Parameter(help="YAML file of options; what is given here comes first.")] = None,
    out: Annotated[Path | None, Parameter(help="The run folder, new or empty (default: run-001, ...).")] = None,
    print_config: Annotated[
        bool, Parameter(negative="", help="Print what a run would use, as YAML, and stop.")
    ] = False,
    dry_run: Annotated[
        bool, Parameter(negative="", help="Check data, shapes, memory and disk, take one step, and stop.")
    ] = False,
) -> None:
    """Train a network on a data set; leaves a run folder with the model, its accuracy and a report.

    Args:
        data: A data set's name (`verydeep list data`) or a folder of class folders; digits if nothing is given.
    """
    given: dict[str, Any] = from_yaml(config) if config is not None else {}
    given |= from_environment()
    if settings is not None:
        given |= {name: getattr(settings, name) for name in settings.model_fields_set}
    if data is not None:
        given["data"] = data
    resolved = resolve(given)
    if print_config:
        print(resolved.to_yaml(), end="")
        return
    if dry_run:
        from verydeep.train.rehearsal import rehearse

        print(rehearse(resolved, out=out))
        return
    from verydeep.train.session import train

    train(resolved, out=out)
