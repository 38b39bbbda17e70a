"""`verydeep code`: a network as plain PyTorch source."""

from verydeep.cli.described import Channels, Classes, Dropout, Fc, Size, Width, described
from verydeep.cli.options import Out
from verydeep.cli.output import write_text
from verydeep.report.code import code


def run(
    net: str,
    /,
    *,
    size: Size = None,
    channels: Channels = None,
    classes: Classes = None,
    width: Width = None,
    fc: Fc = None,
    dropout: Dropout = None,
    out: Out = None,
) -> None:
    """A network as plain, readable PyTorch source that runs without this package.

    Args:
        net: A name (`verydeep list`), a run folder, or a network's JSON file.
    """
    write_text(
        code(described(net, size=size, channels=channels, classes=classes, width=width, fc=fc, dropout=dropout)), out
    )
