"""`verydeep push`: a run's model to a hub."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from verydeep import extras
from verydeep.cli.options import FLAG, TokenFile


def run(
    run: Path,
    repo: str,
    /,
    *,
    private: Annotated[bool, FLAG, Parameter(help="Make a private repository; send nothing to a public one.")] = False,
    token_file: TokenFile = None,
) -> None:
    """Give a run's model to a hub: weights, model card, settings and result, nothing else; prints where it is.

    The hub is huggingface.co, or what HF_ENDPOINT says. Who asks is the token in HF_TOKEN or in --token-file.

    Args:
        run: The folder that `verydeep train` wrote.
        repo: OWNER/NAME; made where it does not exist.
    """
    hub = extras.load("verydeep.hub.push", extra="hub")
    print(hub.push(run, repo, visibility="private" if private else "public", token_file=token_file))
