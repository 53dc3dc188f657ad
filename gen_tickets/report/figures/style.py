"""What all figures share: colours, sizes, fonts, and how they become PNG bytes.

Colours are Okabe and Ito's, told apart by all.
"""

import contextlib
import io
from typing import Any, Iterator, Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#444444"
PALETTE = (BLUE, ORANGE, GREEN, "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C8C00")

WIDE, MIDDLE, SMALL = (9.0, 4.4), (5.6, 4.0), (4.4, 2.9)  # inches
_DPI = 130
_STYLE: Any = {
    "font.size": 9,
    "axes.edgecolor": "#888888",
    "axes.labelcolor": "#222222",
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.7,
    "xtick.color": "#444444",
    "ytick.color": "#444444",
    "legend.frameon": False,
}
# Axes whose values spread over more than this factor are logarithmic.
_LOG_FACTOR = 30


@contextlib.contextmanager
def figure(size: tuple[float, float]) -> Iterator[Figure]:
    """A new figure of this size in inches; drawn and written in the style of all."""
    with matplotlib.rc_context(_STYLE):
        yield Figure(figsize=size, dpi=_DPI)


def to_png(of: Figure, tight: bool = True) -> bytes:
    """Returns the PNG of a figure; tight: cut to what is drawn."""
    data, canvas = io.BytesIO(), FigureCanvasAgg(of)
    if tight:
        canvas.print_figure(data, format="png", bbox_inches="tight", pad_inches=0.06)
    else:
        canvas.print_figure(data, format="png")
    return data.getvalue()


def percentage(value: float) -> str:
    """At most three digits: 100, 51.2, 98.8; two after the point where that is less."""
    if 99.05 <= value < 100:
        return f"{value:.2f}"
    return f"{value:.3g}" if value >= 1 else f"{value:.2g}"


def use_log_scale(axes: Axes, values: Sequence[float] | np.ndarray) -> None:
    """Makes the vertical axis logarithmic where positive values spread widely."""
    if len(values) and min(values) > 0 and max(values) > _LOG_FACTOR * min(values):
        axes.set_yscale("log")
