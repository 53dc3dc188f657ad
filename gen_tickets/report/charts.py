"""The data of figures: drawn by `figures` and, on a page, by its script.

Non-finite values count as not measured: lines are interrupted there.
"""

import csv
import io
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#777777"
#: Okabe and Ito's colour-blind-safe palette.
PALETTE = (BLUE, ORANGE, GREEN, "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C8C00")

# Values that span more than this factor are drawn on a logarithmic axis.
_LOG_FACTOR = 30


class Line(NamedTuple):
    """A line through points, in order."""

    label: str  #: in the legend, which toggles all lines of a label
    color: str
    x: Sequence[float]  #: empty: a horizontal line at the one y
    y: Sequence[float]
    std: Sequence[float] = ()  #: of y; empty or nan: none
    notes: Sequence[str] = ()  #: one per point, such as its round
    dash: str = ""  #: "", "dashed" or "dotted"
    marker: str = ""  #: "", "circle", "square" or "hollow"
    crosses: Sequence[float] = ()  #: x of diverged runs, drawn along the top
    kind: str = ""  #: a second entry of the legend, such as "training images"


class Mark(NamedTuple):
    """A labelled mark: a ring around a point, or if y is nan, a vertical line."""

    x: float
    y: float
    label: str


class Tick(NamedTuple):
    """A tick of the horizontal axis, with text below and above it."""

    x: float
    below: str
    above: str = ""


class Chart(NamedTuple):
    """A line chart."""

    name: str  #: of its files
    title: str
    xlabel: str
    ylabel: str
    lines: Sequence[Line]
    marks: Sequence[Mark] = ()
    xlim: tuple[float, float] | None = None  #: left, right
    ylim: tuple[float, float] | None = None
    xticks: Sequence[Tick] = ()  #: empty: chosen when drawing
    xlog: bool = False
    top_label: str = ""
    small: bool = False  #: without a legend
    named: bool = False  #: whether notes are written next to their points

    @property
    def values(self) -> list[float]:
        """All finite y."""
        return [y for line in self.lines for y in line.y if math.isfinite(y)]

    @property
    def ylog(self) -> bool:
        """Whether y spans so wide a range that its axis is logarithmic.

        Charts with the same `ylim` have the same kind of axis.
        """
        ends = self.ylim or self.values or (0.0,)
        return 0 < _LOG_FACTOR * min(ends) < max(ends)

    @property
    def has_curve(self) -> bool:
        """Whether a line has two points or more, and not all values are equal."""
        counts = [sum(map(math.isfinite, line.y)) for line in self.lines if line.x]
        return max(counts, default=0) > 1 and len(set(self.values)) > 1

    @property
    def ends(self) -> tuple[float, float]:
        """Lowest and highest y, including standard deviations; at least one exists."""
        found = self.values
        for line in self.lines:
            for y, std in zip(line.y, line.std):
                found += [y - std, y + std] if math.isfinite(y + std) else []
        return min(found), max(found)


class Heatmap(NamedTuple):
    """A table of colours."""

    name: str
    title: str
    xlabel: str
    ylabel: str
    rows: Sequence[str]  #: from top to bottom
    columns: Sequence[str]
    values: Sequence[Sequence[float]]  #: [rows][columns], nan: none
    shades: Sequence[Sequence[float]]  #: same shape, in [0, 1]: dark to bright
    bar: str  #: label of the colour bar
    bar_ticks: Sequence[tuple[float, str]]  #: shade, value
    written: bool = True  #: whether the values are written in the cells
    mark: tuple[int, str] | None = None  #: a column, and its label


Figure = Chart | Heatmap


def to_csv(figure: Figure) -> bytes:
    """The numbers of a figure as a table: one row per point, or per row of cells."""
    text = io.StringIO(newline="")
    write = csv.writer(text, lineterminator="\n").writerow
    if isinstance(figure, Heatmap):
        write([f"{figure.ylabel}, {figure.bar} of {figure.xlabel}", *figure.columns])
        for name, values in zip(figure.rows, figure.values, strict=True):
            write([name, *values])
        return text.getvalue().encode()
    ylabel = figure.ylabel.partition("\n")[0]
    write(["line", figure.xlabel, ylabel, "standard deviation", "note"])
    for line in figure.lines:
        label = ", ".join(filter(None, (line.label, line.kind)))
        count = len(line.y)
        columns: tuple[Sequence[float | str], ...] = (
            line.x or [""],
            line.y,
            line.std or [""],
            line.notes or [""],
        )
        padded = [of if len(of) == count else [*of] * count for of in columns]
        for cells in zip(*padded, strict=True):
            write([label, *(x if isinstance(x, str) else f"{x:.9g}" for x in cells)])
    return text.getvalue().encode()


def to_json(figure: Figure) -> dict[str, Any]:
    """A figure in the form that the script of a page reads."""
    kind = "heatmap" if isinstance(figure, Heatmap) else "chart"
    log = isinstance(figure, Chart) and figure.ylog
    return {"type": kind, "ylog": log, **_plain(figure)}


def _plain(value: Any) -> Any:
    """Named tuples as dicts, numbers with 7 digits, non-finite numbers as None."""
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {name: _plain(of) for name, of in value._asdict().items()}
    if isinstance(value, str | bool | int) or value is None:
        return value
    if isinstance(value, Sequence):
        return [_plain(one) for one in value]
    return float(f"{value:.7g}") if math.isfinite(value) else None
