"""`verydeep code`: a network as plain source of a framework."""

from verydeep.cli.described import AS_IT_IS, Options, described
from verydeep.cli.options import Out
from verydeep.cli.output import write_text
from verydeep.report.source.frameworks import Framework, code


def run(
    net: str,
    /,
    *,
    framework: Framework = "pytorch",
    options: Options = AS_IT_IS,
    out: Out = None,
) -> None:
    """A network as plain, readable source that runs without this package.

    Args:
        net: A name (`verydeep list`), a run folder, a model's file, or a network's JSON file.
        framework: pytorch, keras, flax or mxnet.
    """
    write_text(code(described(net, options), framework=framework), out)
