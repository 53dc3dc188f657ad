"""The panels of the paper's figures, from the files of their experiments alone.

A panel is drawn from what its experiments have found so far; `DRAW` has the function of
each kind. The rows of tables are
made in `tables`.
"""

import math
from typing import Any, NamedTuple, Sequence

import numpy as np
from PIL import Image

from gen_tickets.paper import claims, published, tables
from gen_tickets.paper.claims import Evidence
from gen_tickets.paper.figures import Panel
from gen_tickets.paper.results import Results, column
from gen_tickets.report import figures, statistics
from gen_tickets.report.figures import Baseline, Point, Series
from gen_tickets.workdir import paths

_MOST_COLUMNS = 6
# Orange is the random control's.
_COLORS = [color for color in figures.PALETTE if color != figures.ORANGE]
_CAPTION = (
    "Mean over runs, band = one standard deviation; grey: the dense network; dotted: "
    "the paper's winning sparsity; a cross: diverged runs, which no mean contains."
)
_BETTER = {-1: ", lower is better", 0: "", 1: ", higher is better"}
_AXES = {
    "flops": "FLOPs saved (%)",
    "weights": "weights cut (%)",
    "seconds": "training time saved (%)",
}
_BIRDS = "early-bird tickets, share of channels cut"


class Drawn(NamedTuple):
    """A panel on the page."""

    pictures: Sequence[tuple[bytes, str]]  #: PNG, caption
    numbers: Sequence[dict[str, Any]]  #: rows of numbers.csv
    is_table: bool = False  #: the numbers are shown, too


def evidence_of(panel: Panel, results: Results) -> tuple[list[Evidence], str | None]:
    """What its curves say so far, and the column of its measure that all have."""
    evidence = [results.evidence(curve) for curve in panel.curves]
    begun = [one for one in evidence if one is not None]
    return begun, column(panel.measure, begun)


def _numbers(panel: Panel, one: Evidence, name: str) -> list[dict[str, Any]]:
    """A row of each round of an arm."""
    place = {"panel": panel.title, "curve": one.label, "column": name}
    return [
        {**place, **s._asdict(), "values": len(s.values), "runs": s.num_runs}
        for s in one.summaries(name).values()
    ]


def _draw_sparsity(panel: Panel, results: Results) -> Drawn | None:
    """Curves against sparsity; the dense network is that of the first of them."""
    evidence, name = evidence_of(panel, results)
    if name is None:
        return None
    dense = evidence[0]._replace(label="dense", arm="dense")
    baselines = [
        Baseline(f"dense (n = {summary.num_runs})", figures.GREY, summary)
        for summary in dense.summaries(name).values()
    ]
    curves = []
    for one, color in zip(evidence, _COLORS):
        points = tuple(one.summaries(name).values())
        if points:
            label = f"{one.label} (n = {max(point.num_runs for point in points)})"
            line, marker = "-", "o"
            if one.arm == "random":
                line, marker, color = "--", "s", figures.ORANGE
            curves.append(figures.Curve(label, color, line, marker, points))
    if not curves and not baselines:
        return None
    better = _BETTER[statistics.direction(name)]
    ylabel = f"{panel.measure.label}\n({name}{better})"
    png = figures.draw_metric(curves, baselines, ylabel, panel.published)
    numbers = [row for one in (dense, *evidence) for row in _numbers(panel, one, name)]
    return Drawn([(png, _CAPTION)], numbers)


def _draw_tradeoff(panel: Panel, results: Results) -> Drawn | None:
    """Quality against FLOPs; FLOPs and time against compression."""
    evidence, name = evidence_of(panel, results)
    if name is None or results.evidence(panel.curves[0]) is None:
        return None
    dense, small = evidence[0], claims.compressed(evidence[1:])
    if not small:
        return None
    (baseline,) = dense.summaries(name).values()
    rows = []
    for one in small:
        shares = claims.savings(dense, one)
        (row,) = _numbers(panel, one, name)
        rows.append({**row, **{_AXES[x]: 100 * share for x, share in shares.items()}})
    paper = {}
    if panel.title == published.title("dcgan_cifar10"):
        paper = {_AXES[x]: 100 * share for x, share in published.EARLY_BIRD.items()}
    quality = _quality_picture(panel, name, baseline, rows, paper.get(_AXES["flops"]))
    pictures = [(quality, f"{panel.title}: quality against FLOPs.")]
    across = _AXES["weights"]
    for up in (_AXES["flops"], _AXES["seconds"]):
        points = [Point(x[across], x[up], math.nan, _told(x, baseline)) for x in rows]
        series = [Series(_BIRDS, figures.BLUE, points)]
        if paper:
            place = Point(paper[across], paper[up], math.nan, "")
            series.append(Series("paper", figures.GREEN, [place], "", True))
        png = figures.draw_points(series, across, up)
        pictures.append((png, f"{panel.title}: {up} against {across}."))
    return Drawn(pictures, [*_numbers(panel, dense, name), *rows])


def _quality_picture(panel, name, dense, rows, paper: float | None) -> bytes:
    """`paper`: where the paper's ticket is, FLOPs saved in percent; None: nowhere."""
    across = _AXES["flops"]
    points = [Point(x[across], x["mean"], x["std"], _told(x, dense)) for x in rows]
    return figures.draw_points(
        [Series(_BIRDS, figures.BLUE, points)],
        across,
        f"{panel.measure.label} ({name})",
        Baseline("dense", figures.GREY, dense),
        None if paper is None else (paper, "paper: 88 %, FID 33.49 (dense 37.71)"),
    )


def _told(row, dense) -> str:
    """The label of a point, with its runs where some found no ticket."""
    fewer = row["runs"] < dense.num_runs
    return f"{row['curve']}, n = {row['runs']}" if fewer else row["curve"]


def _draw_images(panel: Panel, results: Results) -> Drawn | None:
    """Samples of each arm, dense and at some sparsities."""
    found = results.outcome(panel.curves[0])
    if found is None:
        return None
    sparsity = {row["round"]: row["sparsity"] for row in found.rows}
    rounds = sorted(sparsity)[1:] or [0]
    places = np.linspace(0, len(rounds) - 1, min(len(rounds), _MOST_COLUMNS))
    chosen = [rounds[round(place)] for place in places]

    def picture(number: int, arm: str):
        path = paths.sample_path(found.workdir, number, arm, "samples")
        return np.asarray(Image.open(path)) if path.exists() else None

    lines = {
        curve.arm: [picture(0, "dense"), *(picture(n, curve.arm) for n in chosen)]
        for curve in panel.curves
    }
    names = ["dense", *(statistics.percent(sparsity[number]) for number in chosen)]
    png = figures.draw_images(names, lines)
    return Drawn([(png, f"{panel.title}: samples of run 0, the same latents.")], [])


def _draw_table(panel: Panel, results: Results) -> Drawn | None:
    rows = tables.ROWS[panel.kind](panel, results)
    return Drawn([], rows, is_table=True) if rows else None


DRAW = {
    "sparsity": _draw_sparsity,
    "tradeoff": _draw_tradeoff,
    "images": _draw_images,
    "table1": _draw_table,
    "table2": _draw_table,
}
