"""Line charts by Matplotlib."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from gen_tickets.report.charts import GREEN, GREY, Chart, Line, Mark, Tick

_DASHES: dict[str, Any] = {"": "-", "dashed": "--", "dotted": ":"}
_MARKERS = {"": "", "circle": "o", "square": "s", "hollow": "o"}
_RING: Any = {
    "marker": "o",
    "markersize": 11,
    "markeredgewidth": 1.6,
    "markeredgecolor": GREEN,
    "markerfacecolor": "none",
}
_MOST_TICKS = {True: 8, False: 21}  # on the horizontal axis; small: True


def draw(axes: Axes, chart: Chart) -> None:
    """Draws a chart into empty axes."""
    if chart.xlog:
        axes.set_xscale("log")
    if chart.xlim:
        axes.set_xlim(*chart.xlim)
    if chart.ylog:
        axes.set_yscale("log")
    if chart.ylim:
        axes.set_ylim(*chart.ylim)
    for line in chart.lines:
        _draw_line(axes, line)
    crossed = [line for line in chart.lines if line.crosses]
    for index, line in enumerate(crossed):
        _mark_diverged(axes, line, 0.96 - 0.05 * index)
    if crossed:
        axes.margins(y=0.16)  # room for the crosses along the top
    for mark in chart.marks:
        _draw_mark(axes, mark)
    if chart.xticks:
        _write_ticks(axes, chart)
    axes.set_xlabel(chart.xlabel)
    axes.set_ylabel(chart.ylabel)
    axes.grid(True)
    if chart.named:
        axes.margins(x=0.12, y=0.12)
        _write_names(axes, chart.lines)
    if not chart.small:
        _add_legend(axes, chart)


def _draw_line(axes: Axes, line: Line) -> None:
    std = np.nan_to_num(line.std) if line.std else np.zeros(len(line.y))
    y, dash = np.asarray(line.y, float), _DASHES[line.dash]
    if not line.x:
        axes.axhline(y[0], color=line.color, linestyle=dash, linewidth=1.2, zorder=1.5)
        if std[0] > 0:
            low, high = y[0] - std[0], y[0] + std[0]
            axes.axhspan(low, high, color=line.color, alpha=0.13, linewidth=0)
        return
    axes.plot(
        line.x,
        y,
        dash,
        color=line.color,
        marker=_MARKERS[line.marker],
        markerfacecolor="none" if line.marker == "hollow" else line.color,
        markersize=4,
        linewidth=1.5,
    )
    if std.any():
        low, high = y - std, y + std
        axes.fill_between(line.x, low, high, color=line.color, alpha=0.16, linewidth=0)


def _mark_diverged(axes: Axes, line: Line, height: float) -> None:
    """Draws crosses along the top, a row per curve; `height`: fraction of the axes."""
    for place in line.crosses:
        axes.annotate(
            "×",
            (place, height),
            xycoords=("data", "axes fraction"),
            color=line.color,
            fontsize=10,
            fontweight="bold",
            ha="center",
            va="center",
        )


def _draw_mark(axes: Axes, mark: Mark) -> None:
    if np.isfinite(mark.y):
        axes.plot(mark.x, mark.y, **_RING)
    else:
        axes.axvline(mark.x, color=GREEN, linestyle=":")


def _write_ticks(axes: Axes, chart: Chart) -> None:
    ticks = chosen_ticks(chart, _MOST_TICKS[chart.small])
    size = 7.5 if chart.small else 8
    written = [(axes.xaxis, [tick.below for tick in ticks])]
    if chart.top_label:
        top = axes.secondary_xaxis("top")
        top.set_xlabel(chart.top_label)
        written.append((top.xaxis, [tick.above for tick in ticks]))
    for axis, names in written:
        axis.set_major_locator(ticker.FixedLocator([tick.x for tick in ticks]))
        axis.set_minor_locator(ticker.NullLocator())
        axis.set_major_formatter(ticker.FixedFormatter(names))
        axis.set_tick_params(labelsize=size)


def chosen_ticks(chart: Chart, most: int) -> list[Tick]:
    """The ticks that have room for their text, always including the last one."""
    if chart.xlim is None:
        return list(chart.xticks)
    places = np.array([*chart.xlim, *(tick.x for tick in chart.xticks)])
    left, right, *xs = np.log(places) if chart.xlog else places
    chosen: list[int] = []
    for i, x in enumerate(xs):
        if not chosen or abs(x - xs[chosen[-1]]) > 0.9 * abs(right - left) / most:
            chosen.append(i)
    chosen[-1] = len(xs) - 1
    return [chart.xticks[i] for i in chosen]


def _add_legend(axes: Axes, chart: Chart) -> None:
    """Adds an entry per label, then the kinds of lines, then the marks."""
    first = {line.label: line for line in reversed(chart.lines)}
    handles = [
        _handle(label, first[label], first[label].color)
        for label in dict.fromkeys(line.label for line in chart.lines)
    ]
    kinds = {line.kind: line for line in chart.lines if line.kind}
    handles += [_handle(kind, line, GREY) for kind, line in kinds.items()]
    handles += [_mark_handle(mark) for mark in chart.marks]
    if len(handles) > 6:
        axes.legend(
            handles=handles, loc="upper left", bbox_to_anchor=(1.02, 1.0), fontsize=7.5
        )
    elif handles:
        axes.legend(handles=handles, loc="best")


def _handle(label: str, line: Line, color: str) -> Line2D:
    dash: Any = "-" if line.kind and color != GREY else _DASHES[line.dash]
    marker = _MARKERS[line.marker]
    return Line2D([], [], color=color, linestyle=dash, marker=marker, label=label)


def _mark_handle(mark: Mark) -> Line2D:
    if np.isfinite(mark.y):
        return Line2D([], [], linestyle="", label=mark.label, **_RING)
    return Line2D([], [], color=GREEN, linestyle=":", label=mark.label)


def _write_names(axes: Axes, lines: Sequence[Line]) -> None:
    """Writes each note next to its point."""
    for line in lines:
        for x, y, note in zip(line.x, line.y, line.notes):
            axes.annotate(
                note,
                (x, y),
                xytext=(5, 5),
                textcoords="offset points",
                color=line.color,
                fontsize=7.5,
            )
