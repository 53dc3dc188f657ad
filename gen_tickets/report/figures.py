"""Figures as PNG bytes: a metric against sparsity or cost, layers, images.

The horizontal axis of a metric is the share of prunable weights that remain, on a log
scale from dense on the left: rounds that prune a fixed share of what is left are then
evenly spaced. The sparsity is written along the top. Points are means over runs, bands
one standard deviation (ddof = 1). Colours are Okabe and Ito's, told apart by all.
"""

import io
from typing import Mapping, NamedTuple, Sequence

import matplotlib
import numpy as np
from matplotlib import ticker
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from gen_tickets.report.statistics import Summary

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#444444"
PALETTE = (BLUE, ORANGE, GREEN, "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C8C00")

_DPI = 130
_BAR_TICKS = (100, 50, 20, 10, 5, 2, 1, 0.5, 0.2, 0.1)
_WIDE, _MIDDLE, _SMALL = (9.0, 4.4), (5.6, 4.0), (4.4, 2.9)
_STYLE = {
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


class Curve(NamedTuple):
    """One arm over the rounds."""

    label: str | None  # None: not in the legend
    color: str
    line: str  # "-" or "--"
    marker: str
    points: Sequence[Summary]


class Baseline(NamedTuple):
    """The unpruned network, drawn as a horizontal line with its band."""

    label: str | None
    color: str
    summary: Summary


class Point(NamedTuple):
    """One training in a plane; `spread` is one standard deviation of y, nan: none."""

    x: float
    y: float
    spread: float
    name: str


class Series(NamedTuple):
    """Points of one kind; hollow ones are the paper's."""

    label: str
    color: str
    points: Sequence[Point]
    line: str = "-"
    hollow: bool = False


def draw_metric(
    curves: Sequence[Curve],
    baselines: Sequence[Baseline],
    ylabel: str,
    paper_sparsity: float = 0.0,
    small: bool = False,
) -> bytes:
    """Draws one metric against the remaining weights.

    Args:
      curves, baselines: what to draw; a cross at the top marks a round with diverged
        runs, which no mean contains: where all diverged, the curve has a gap.
      ylabel: the metric, and which side of it is better.
      paper_sparsity: the published winning sparsity, a dotted line; 0 for none.
      small: for a grid of figures: no legend, fewer ticks.
    """
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=_SMALL if small else _WIDE, dpi=_DPI)
        canvas = FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        for baseline in baselines:
            _draw_baseline(axes, baseline, band=len(baselines) == 1)
        for index, curve in enumerate(curves):
            _draw_curve(axes, curve)
            _mark_diverged(axes, curve, 0.96 - 0.05 * index)
        if paper_sparsity > 0:
            label = f"paper, {_short(100 * paper_sparsity)} %"
            axes.axvline(100 * (1 - paper_sparsity), color=GREEN, ls=":", label=label)
        _scale_remaining(axes, curves, paper_sparsity, small)
        _scale_values(axes, curves, baselines)
        axes.set_ylabel(ylabel)
        axes.grid(True)
        if small:
            figure.subplots_adjust(left=0.23, right=0.97, bottom=0.16, top=0.83)
        else:
            axes.legend(loc="best")
            figure.subplots_adjust(left=0.1, right=0.985, bottom=0.115, top=0.88)
        return _png(canvas)


def _draw_baseline(axes, baseline: Baseline, band: bool) -> None:
    dense = baseline.summary
    if not dense.values:
        return
    axes.axhline(
        dense.mean, color=baseline.color, lw=1.2, label=baseline.label, zorder=1.5
    )
    if band and dense.std > 0:
        low, high = dense.mean - dense.std, dense.mean + dense.std
        axes.axhspan(low, high, color=baseline.color, alpha=0.13, linewidth=0)


def _draw_curve(axes, curve: Curve) -> None:
    remaining = np.array([100 * point.remaining for point in curve.points])
    mean = np.array([point.mean for point in curve.points])
    std = np.nan_to_num([point.std for point in curve.points])
    axes.plot(
        remaining,
        mean,
        curve.line,
        color=curve.color,
        marker=curve.marker,
        markersize=4,
        linewidth=1.6,
        label=curve.label,
    )
    low, high = mean - std, mean + std
    axes.fill_between(remaining, low, high, color=curve.color, alpha=0.16, linewidth=0)


def _mark_diverged(axes, curve: Curve, height: float) -> None:
    """Crosses along the top; `height` in shares of the axes, one line for a curve."""
    for point in curve.points:
        if point.num_diverged:
            axes.annotate(
                "×",
                (100 * point.remaining, height),
                xycoords=("data", "axes fraction"),
                color=curve.color,
                fontsize=10,
                fontweight="bold",
                ha="center",
                va="center",
            )


def _scale_remaining(axes, curves, paper_sparsity: float, small: bool) -> None:
    """Log axis of remaining %, dense at the left; ticks at rounds that have room."""
    shares = {round(100 * p.remaining, 6) for c in curves for p in c.points}
    shares = sorted({100.0} | {share for share in shares if share > 0}, reverse=True)
    edges = shares + ([100 * (1 - paper_sparsity)] if paper_sparsity > 0 else [])
    left, right = np.log(100.0), np.log(min(min(edges), 90.0))
    margin = 0.025 * (left - right)
    axes.set_xscale("log")
    axes.set_xlim(np.exp(left + margin), np.exp(right - margin))
    ticks, room = [], (left - right) / (8 if small else 21)
    for share in shares:
        if not ticks or np.log(ticks[-1] / share) > 0.9 * room:
            ticks.append(share)
    ticks[-1] = shares[-1]  # the sparsest round is always told
    size = 7.5 if small else 8
    top = axes.secondary_xaxis("top")
    for axis, names in (
        (axes.xaxis, [_short(share) for share in ticks]),
        (top.xaxis, [_short(100 - share) for share in ticks]),
    ):
        axis.set_major_locator(ticker.FixedLocator(ticks))
        axis.set_minor_locator(ticker.NullLocator())
        axis.set_major_formatter(ticker.FixedFormatter(names))
        axis.set_tick_params(labelsize=size)
    axes.set_xlabel("remaining weights (%)")
    top.set_xlabel("sparsity (%)")


def _short(percentage: float) -> str:
    """At most three digits: 100, 51.2, 98.8; two after the point where that is less."""
    if percentage >= 99.05 and percentage < 100:
        return f"{percentage:.2f}"
    return f"{percentage:.3g}" if percentage >= 1 else f"{percentage:.2g}"


def _scale_values(axes, curves, baselines) -> None:
    """Log scale where positive means spread over more than a factor of 30."""
    points = [p for c in curves for p in c.points] + [b.summary for b in baselines]
    means = [point.mean for point in points if point.values]
    if means and min(means) > 0 and max(means) > 30 * min(means):
        axes.set_yscale("log")
    if any(point.num_diverged for point in points):
        axes.margins(y=0.16)  # room for the crosses along the top


def draw_layers(sparsities: Mapping[str, Mapping[int, float]]) -> bytes:
    """Draws a heat map of the sparsity, a line a layer and a column a round.

    Args:
      sparsities: {layer: {round: sparsity in [0, 1]}}, layers from top to bottom.
    """
    rounds = sorted({number for layer in sparsities.values() for number in layer})
    table = np.array(
        [[layer.get(n, np.nan) for n in rounds] for layer in sparsities.values()]
    )
    remaining = np.maximum(100 * (1 - table), 0.1)
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(9.0, 1.3 + 0.26 * len(sparsities)), dpi=_DPI)
        canvas = FigureCanvasAgg(figure)
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
        return _png(canvas, bbox_inches="tight", pad_inches=0.06)


def draw_distances(distances: np.ndarray, found: int) -> bytes:
    """Draws how far the channel masks of every two epochs are apart.

    Args:
      distances: normalised Hamming distances, float [E, E].
      found: the epoch, counted from 1, that found an early-bird ticket; 0: none did.
    """
    count = len(distances)
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(4.4, 3.6), dpi=_DPI)
        canvas = FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        edges = (0.5, count + 0.5)
        image = axes.imshow(
            distances, cmap="cividis", vmin=0, origin="lower", extent=edges * 2
        )
        if found:
            axes.axvline(found, color=ORANGE, ls=":", label=f"found at epoch {found}")
            axes.legend(loc="upper left", fontsize=7.5, labelcolor="#ffffff")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(ticker.MaxNLocator(8, integer=True))
            axis.set_label_text("epoch")
        bar = figure.colorbar(image, ax=axes)
        bar.outline.set_visible(False)
        bar.set_label("mask distance")
        return _png(canvas, bbox_inches="tight", pad_inches=0.06)


def draw_points(
    series: Sequence[Series],
    xlabel: str,
    ylabel: str,
    baseline: Baseline | None = None,
    mark: tuple[float, str] | None = None,
) -> bytes:
    """Draws trainings in a plane, each with its name.

    Args:
      series: what to draw; empty ones are left out.
      xlabel, ylabel: what the axes are.
      baseline: the unpruned network, a horizontal line with its band.
      mark: (x, label) of a vertical line, such as a published place.
    """
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=_MIDDLE, dpi=_DPI)
        canvas = FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        if baseline is not None:
            _draw_baseline(axes, baseline, band=True)
        for one in series:
            _draw_series(axes, one)
        if mark is not None:
            axes.axvline(mark[0], color=GREEN, ls=":", label=mark[1])
        axes.set_xlabel(xlabel)
        axes.set_ylabel(ylabel)
        axes.margins(x=0.12, y=0.12)
        axes.grid(True)
        if axes.get_legend_handles_labels()[1]:
            axes.legend(loc="best")
        return _png(canvas, bbox_inches="tight", pad_inches=0.06)


def _draw_series(axes, series: Series) -> None:
    points = [point for point in series.points if np.isfinite(point.y)]
    if not points:
        return
    spread = np.array([point.spread for point in points])
    axes.errorbar(
        [point.x for point in points],
        [point.y for point in points],
        yerr=np.nan_to_num(spread) if np.isfinite(spread).any() else None,
        color=series.color,
        fmt="o",
        linestyle=series.line,
        linewidth=1.4,
        capsize=2.5,
        markerfacecolor="none" if series.hollow else series.color,
        label=series.label,
    )
    for point in points:
        axes.annotate(
            point.name,
            (point.x, point.y),
            xytext=(5, 5),
            textcoords="offset points",
            color=series.color,
            fontsize=7.5,
        )


def draw_lines(
    names: Sequence[str], summaries: Sequence[Summary], xlabel: str
) -> bytes:
    """Draws a number of several experiments, a line each, from top to bottom.

    Args:
      names, summaries: of the experiments; a gap where all runs diverged.
      xlabel: what the number is.

    Returns:
      PNG bytes.
    """
    places = np.arange(len(names))[::-1]
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=_MIDDLE, dpi=_DPI)
        canvas = FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        axes.errorbar(
            [of.mean for of in summaries],
            places,
            xerr=np.nan_to_num([of.std for of in summaries]),
            fmt="o",
            color=BLUE,
            capsize=2.5,
        )
        axes.set_yticks(places, names)
        axes.set_xlabel(xlabel)
        axes.margins(x=0.08, y=0.08)
        axes.grid(True)
        return _png(canvas, bbox_inches="tight", pad_inches=0.06)


def draw_images(
    names: Sequence[str], lines: Mapping[str, Sequence[np.ndarray | None]]
) -> bytes:
    """Draws pictures in a table.

    Args:
      names: of the columns.
      lines: {name of a line: a picture for each column, uint8 [H, W] or [H, W, C],
        None: there is none}.
    """
    count = len(names)
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(2.6 * count, 1.5 * len(lines) + 0.3), dpi=_DPI)
        canvas = FigureCanvasAgg(figure)
        table = figure.subplots(len(lines), count, squeeze=False)
        for i, (name, pictures) in enumerate(lines.items()):
            for axes, title, picture in zip(table[i], names, pictures, strict=True):
                axes.set_xticks([])
                axes.set_yticks([])
                axes.spines[:].set_visible(False)
                if picture is not None:
                    axes.imshow(picture, cmap="gray", interpolation="nearest")
                if i == 0:
                    axes.set_title(title, fontsize=9)
            table[i][0].set_ylabel(name)
        figure.subplots_adjust(wspace=0.04, hspace=0.04)
        return _png(canvas, bbox_inches="tight", pad_inches=0.06)


def _write_cells(axes, table: np.ndarray, brightness: np.ndarray) -> None:
    for (i, j), sparsity in np.ndenumerate(table):
        if np.isfinite(sparsity):
            color = "#222222" if brightness[i, j] > 0.55 else "#f4f4f4"
            text = _short(100 * sparsity)
            axes.text(j, i, text, ha="center", va="center", color=color, fontsize=6.5)


def _png(canvas: FigureCanvasAgg, **options) -> bytes:
    data = io.BytesIO()
    canvas.print_figure(data, format="png", **options)
    return data.getvalue()
