"""A metric against the sparsity, over the rounds of one or more experiments.

The horizontal axis is the share of prunable weights that remain, on a log scale from
dense on the left: rounds that prune a fixed share of what is left are then evenly
spaced. The sparsity is written along the top. Points are means over runs, bands one
standard deviation (ddof = 1).
"""

from typing import NamedTuple, Sequence

import numpy as np
from matplotlib import ticker
from matplotlib.axes import Axes

from gen_tickets.report.figures import style
from gen_tickets.report.statistics import Summary


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

    Returns:
      PNG bytes.
    """
    with style.figure(style.SMALL if small else style.WIDE) as figure:
        axes = figure.add_subplot()
        for baseline in baselines:
            draw_baseline(axes, baseline, band=len(baselines) == 1)
        for index, curve in enumerate(curves):
            _draw_curve(axes, curve)
            _mark_diverged(axes, curve, 0.96 - 0.05 * index)
        if paper_sparsity > 0:
            label = f"paper, {style.percentage(100 * paper_sparsity)} %"
            place = 100 * (1 - paper_sparsity)
            axes.axvline(place, color=style.GREEN, ls=":", label=label)
        _scale_remaining(axes, curves, paper_sparsity, small)
        _scale_values(axes, curves, baselines)
        axes.set_ylabel(ylabel)
        axes.grid(True)
        if small:
            figure.subplots_adjust(left=0.23, right=0.97, bottom=0.16, top=0.83)
        else:
            axes.legend(loc="best")
            figure.subplots_adjust(left=0.1, right=0.985, bottom=0.115, top=0.88)
        return style.to_png(figure, tight=False)


def draw_baseline(axes: Axes, baseline: Baseline, band: bool) -> None:
    """Draws the unpruned network into axes; band: one standard deviation, too."""
    dense = baseline.summary
    if not dense.values:
        return
    axes.axhline(
        dense.mean, color=baseline.color, lw=1.2, label=baseline.label, zorder=1.5
    )
    if band and dense.std > 0:
        low, high = dense.mean - dense.std, dense.mean + dense.std
        axes.axhspan(low, high, color=baseline.color, alpha=0.13, linewidth=0)


def _draw_curve(axes: Axes, curve: Curve) -> None:
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


def _mark_diverged(axes: Axes, curve: Curve, height: float) -> None:
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


def _scale_remaining(
    axes: Axes, curves: Sequence[Curve], paper_sparsity: float, small: bool
) -> None:
    """Log axis of remaining %, dense at the left; ticks at rounds that have room."""
    drawn = {round(100 * p.remaining, 6) for c in curves for p in c.points}
    shares = sorted({100.0} | {share for share in drawn if share > 0}, reverse=True)
    edges = shares + ([100 * (1 - paper_sparsity)] if paper_sparsity > 0 else [])
    left, right = np.log(100.0), np.log(min(min(edges), 90.0))
    margin = 0.025 * (left - right)
    axes.set_xscale("log")
    axes.set_xlim(np.exp(left + margin), np.exp(right - margin))
    ticks: list[float] = []
    room = (left - right) / (8 if small else 21)
    for share in shares:
        if not ticks or np.log(ticks[-1] / share) > 0.9 * room:
            ticks.append(share)
    ticks[-1] = shares[-1]  # the sparsest round is always told
    size = 7.5 if small else 8
    top = axes.secondary_xaxis("top")
    for axis, names in (
        (axes.xaxis, [style.percentage(share) for share in ticks]),
        (top.xaxis, [style.percentage(100 - share) for share in ticks]),
    ):
        axis.set_major_locator(ticker.FixedLocator(ticks))
        axis.set_minor_locator(ticker.NullLocator())
        axis.set_major_formatter(ticker.FixedFormatter(names))
        axis.set_tick_params(labelsize=size)
    axes.set_xlabel("remaining weights (%)")
    top.set_xlabel("sparsity (%)")


def _scale_values(
    axes: Axes, curves: Sequence[Curve], baselines: Sequence[Baseline]
) -> None:
    points = [p for c in curves for p in c.points] + [b.summary for b in baselines]
    style.use_log_scale(axes, [point.mean for point in points if point.values])
    if any(point.num_diverged for point in points):
        axes.margins(y=0.16)  # room for the crosses along the top
