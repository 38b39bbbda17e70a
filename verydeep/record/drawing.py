"""How every figure here is drawn: matplotlib as SVG text, equal input gives equal bytes, legible on dark screens.

The figures carry their colours for dark screens in a style of their own, so they are legible wherever they are shown.
Colours are of Okabe and Ito's palette, which colour-blind people can tell apart.
"""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import matplotlib as mpl
from matplotlib.figure import Figure

PAPER, INK, GRID = "#ffffff", "#1f2933", "#d9dee3"
BLUE, VERMILION, GREEN, PURPLE = "#0072b2", "#d55e00", "#009e73", "#cc79a7"
AT_NIGHT = {
    PAPER: "#171b21",
    INK: "#d6dbe1",
    GRID: "#363d46",
    BLUE: "#56b4e9",
    VERMILION: "#f0883e",
    GREEN: "#3fc89b",
    PURPLE: "#e39ac6",
}

SETTINGS = {
    "svg.hashsalt": "verydeep",  # names inside the file follow from its content
    "svg.fonttype": "none",  # letters stay letters: searchable, and any alphabet
    "text.parse_math": False,  # a class may be called "$"
    "font.size": 10.0,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlesize": 11.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": INK,
    "ytick.color": INK,
    "figure.facecolor": PAPER,
    "axes.facecolor": PAPER,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "lines.markersize": 4.0,
}


@contextmanager
def drawing() -> Iterator[None]:
    """The library's defaults and our settings, whatever the user's matplotlibrc says."""
    with mpl.rc_context(), warnings.catch_warnings():
        mpl.rcdefaults()
        for name, value in SETTINGS.items():
            mpl.rcParams[name] = value  # type: ignore[index]
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # only the label's width is a guess
        yield


def svg_text(figure: Figure) -> str:
    """The figure as SVG, without date and version, with its colours for dark screens."""
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    rules = "".join(
        f'[style*="{what}: {day}"]{{{what}:{night}!important}}'
        for day, night in AT_NIGHT.items()
        for what in ("fill", "stroke")
    )
    style = f"<style>@media screen and (prefers-color-scheme: dark){{{rules}}}</style>"
    before, end, after = file.getvalue().rpartition("</svg>")
    return f"{before}{style}\n{end}{after}"
