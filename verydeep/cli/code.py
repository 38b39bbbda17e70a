"""`verydeep code`: a network as plain PyTorch source."""

from verydeep.cli.described import AS_IT_IS, Options, described
from verydeep.cli.options import Out
from verydeep.cli.output import write_text
from verydeep.report.code import code


def run(
    net: str,
    /,
    *,
    options: Options = AS_IT_IS,
    out: Out = None,
) -> None:
    """A network as plain, readable PyTorch source that runs without this package.

    Args:
        net: A name (`verydeep list`), a run folder, or a network's JSON file.
    """
    write_text(code(described(net, options)), out)
