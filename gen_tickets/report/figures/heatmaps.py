"""Heat maps by Matplotlib."""

import matplotlib
import numpy as np
from matplotlib import ticker
from matplotlib.axes import Axes

from gen_tickets.report.charts import ORANGE, Heatmap

COLORS = "cividis"  # colour-blind safe
_BRIGHT = 0.55  # shades above it need dark text
_MOST_NAMES = 12  # maximum, for columns or rows named by numbers


def color(shade: float) -> str:
    """The colour of a shade in [0, 1], as "#rrggbb"; white for nan."""
    if np.isnan(shade):
        return "#ffffff"
    red, green, blue, _ = matplotlib.colormaps[COLORS](shade, bytes=True)
    return f"#{red:02x}{green:02x}{blue:02x}"


def draw(axes: Axes, heatmap: Heatmap) -> None:
    """Draws a heat map with its colour bar into empty axes."""
    shades = np.array(heatmap.shades)
    image = axes.imshow(shades, aspect="auto", cmap=COLORS, vmin=0, vmax=1)
    for axis, names in ((axes.yaxis, heatmap.rows), (axes.xaxis, heatmap.columns)):
        is_numbers = all(name.isdecimal() for name in names)
        step = max(1, -(-len(names) // _MOST_NAMES)) if is_numbers else 1
        axis.set_ticks(range(0, len(names), step), names[::step], fontsize=8)
    axes.set_xlabel(heatmap.xlabel)
    axes.set_ylabel(heatmap.ylabel)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    if heatmap.written:
        _write_cells(axes, np.array(heatmap.values), shades)
    if heatmap.mark:
        column, label = heatmap.mark
        axes.axvline(column, color=ORANGE, linestyle=":", label=label)
        axes.legend(loc="upper left", fontsize=7.5, labelcolor="#ffffff")
    bar = axes.figure.colorbar(image, ax=axes, pad=0.015, fraction=0.03)
    places, names = zip(*heatmap.bar_ticks, strict=True)
    bar.ax.yaxis.set_major_locator(ticker.FixedLocator(places))
    bar.ax.yaxis.set_major_formatter(ticker.FixedFormatter(names))
    bar.outline.set_visible(False)
    bar.set_label(heatmap.bar)


def _write_cells(axes: Axes, values: np.ndarray, shades: np.ndarray) -> None:
    for (i, j), value in np.ndenumerate(values):
        if np.isfinite(value):
            ink = "#222222" if shades[i, j] > _BRIGHT else "#f4f4f4"
            text = f"{value:.3g}"
            axes.text(j, i, text, ha="center", va="center", color=ink, fontsize=6.5)
