"""Figures of single experiments: points in a plane, one line each, and their images."""

from typing import Mapping, NamedTuple, Sequence

import numpy as np
from matplotlib.axes import Axes

from gen_tickets.report.figures import style
from gen_tickets.report.figures.sparsity import Baseline, draw_baseline


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

    Returns:
      PNG bytes.
    """
    with style.figure(style.MIDDLE) as figure:
        axes = figure.add_subplot()
        if baseline is not None:
            draw_baseline(axes, baseline, band=True)
        for one in series:
            _draw_series(axes, one)
        if mark is not None:
            axes.axvline(mark[0], color=style.GREEN, ls=":", label=mark[1])
        axes.set_xlabel(xlabel)
        axes.set_ylabel(ylabel)
        axes.margins(x=0.12, y=0.12)
        axes.grid(True)
        if axes.get_legend_handles_labels()[1]:
            axes.legend(loc="best")
        return style.to_png(figure)


def _draw_series(axes: Axes, series: Series) -> None:
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


def draw_images(
    names: Sequence[str], lines: Mapping[str, Sequence[np.ndarray | None]]
) -> bytes:
    """Draws pictures in a table.

    Args:
      names: of the columns.
      lines: {name of a line: a picture for each column, uint8 [H, W] or [H, W, C],
        None: there is none}.

    Returns:
      PNG bytes.
    """
    count = len(names)
    with style.figure((2.6 * count, 1.5 * len(lines) + 0.3)) as figure:
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
        return style.to_png(figure)
