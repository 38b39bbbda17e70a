"""`verydeep pull`: a model from a hub."""

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from verydeep.cli.options import TokenFile


def run(
    repo: str,
    /,
    *,
    revision: Annotated[str, Parameter(help="A branch, a tag or a commit.")] = "main",
    out: Annotated[Path | None, Parameter(help="The folder, new or empty [default: NAME].")] = None,
    token_file: TokenFile = None,
) -> None:
    """Take a model from a hub into a folder that evaluate, predict, export and show take; prints the folder.

    Only what `verydeep push` writes is taken, and each file is checked against the hash that the hub names for it.
    What was cut off goes on with the same command. The hub is huggingface.co, or what HF_ENDPOINT says.

    Args:
        repo: OWNER/NAME.
    """
    from verydeep.hub.pull import pull

    folder = pull(
        repo, revision=revision, out=out, token_file=token_file, say=lambda line: print(line, file=sys.stderr)
    )
    print(folder)
