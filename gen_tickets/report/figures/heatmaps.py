"""Heat maps: sparsity of layers over rounds, distances of masks over epochs."""

from typing import Mapping

import numpy as np
from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm

from gen_tickets.report.figures import style

_BAR_TICKS = (100, 50, 20, 10, 5, 2, 1, 0.5, 0.2, 0.1)


def draw_layers(sparsities: Mapping[str, Mapping[int, float]]) -> bytes:
    """Draws a heat map of the sparsity, a line a layer and a column a round.

    Args:
      sparsities: {layer: {round: sparsity in [0, 1]}}, layers from top to bottom.

    Returns:
      PNG bytes.
    """
    rounds = sorted({number for layer in sparsities.values() for number in layer})
    table = np.array(
        [[layer.get(n, np.nan) for n in rounds] for layer in sparsities.values()]
    )
    remaining = np.maximum(100 * (1 - table), 0.1)
    with style.figure((9.0, 1.3 + 0.26 * len(sparsities))) as figure:
        axes = figure.add_subplot()
        norm = LogNorm(min(50.0, np.nanmin(remaining)), 100.0)
        image = axes.imshow(remaining, aspect="auto", cmap="cividis", norm=norm)
        axes.set_yticks(range(len(sparsities)), list(sparsities), fontsize=8)
        axes.set_xticks(range(len(rounds)), [str(n) for n in rounds], fontsize=8)
        axes.set_xlabel("round")
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        if len(rounds) <= 24 and table.size <= 600:
            _write_cells(axes, table, norm(remaining))
        bar = figure.colorbar(image, ax=axes, pad=0.015, fraction=0.03)
        bar.ax.yaxis.set_major_locator(ticker.FixedLocator(_BAR_TICKS))
        bar.ax.yaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
        bar.ax.yaxis.set_minor_locator(ticker.NullLocator())
        bar.outline.set_visible(False)
        bar.set_label("remaining (%)")
        return style.to_png(figure)


def _write_cells(axes: Axes, table: np.ndarray, brightness: np.ndarray) -> None:
    for (i, j), sparsity in np.ndenumerate(table):
        if np.isfinite(sparsity):
            color = "#222222" if brightness[i, j] > 0.55 else "#f4f4f4"
            text = style.percentage(100 * sparsity)
            axes.text(j, i, text, ha="center", va="center", color=color, fontsize=6.5)


def draw_distances(distances: np.ndarray, found: int) -> bytes:
    """Draws how far the channel masks of every two epochs are apart.

    Args:
      distances: normalised Hamming distances, float [E, E].
      found: the epoch, counted from 1, that found an early-bird ticket; 0: none did.

    Returns:
      PNG bytes.
    """
    count = len(distances)
    with style.figure((4.4, 3.6)) as figure:
        axes = figure.add_subplot()
        edges = (0.5, count + 0.5)
        image = axes.imshow(
            distances, cmap="cividis", vmin=0, origin="lower", extent=edges * 2
        )
        if found:
            label = f"found at epoch {found}"
            axes.axvline(found, color=style.ORANGE, ls=":", label=label)
            axes.legend(loc="upper left", fontsize=7.5, labelcolor="#ffffff")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(ticker.MaxNLocator(8, integer=True))
            axis.set_label_text("epoch")
        bar = figure.colorbar(image, ax=axes)
        bar.outline.set_visible(False)
        bar.set_label("mask distance")
        return style.to_png(figure)
