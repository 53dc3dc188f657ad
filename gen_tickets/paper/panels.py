"""Draws the panels of the paper's figures, from the files of their experiments alone.

A panel shows the results of its experiments so far; `DRAW` has the function for each
kind of panel.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from PIL import Image

from gen_tickets import tasks, trees
from gen_tickets.paper import claims, published
from gen_tickets.paper.claims import Evidence
from gen_tickets.paper.figures import Panel
from gen_tickets.paper.results import Results, first_column, options_of
from gen_tickets.report import charts, figures, gates, sparsity
from gen_tickets.report.charts import Chart, Line, Mark
from gen_tickets.report.sparsity import axis_label
from gen_tickets.report.statistics import Summary, mean_std, percent
from gen_tickets.workdir import columns, paths

_MOST_COLUMNS = 6
# Orange is reserved for the random control.
_COLORS = [color for color in charts.PALETTE if color != charts.ORANGE]
_CAPTION = (
    "Mean over runs, band = one standard deviation; grey: the dense network; dotted: "
    "the paper's sparsity; a cross: diverged runs, which no mean contains."
)
_AXES = {
    "flops": "FLOPs saved (%)",
    "weights": "weights cut (%)",
    "seconds": "training time saved (%)",
}


class Drawn(NamedTuple):
    """A panel on the page."""

    pictures: Sequence[tuple[bytes, str]]  #: PNG, caption
    numbers: Sequence[dict[str, Any]] = ()  #: rows of numbers.csv
    measure: str = ""  #: label of what is drawn against sparsity
    is_table: bool = False  #: whether the numbers are shown too


def _begun(panel: Panel, results: Results) -> tuple[list[Evidence], str | None]:
    """The evidence of its started curves, and the column that all of them have."""
    evidence = list(filter(None, map(results.evidence, panel.curves)))
    return evidence, first_column(panel.columns, evidence)


def _numbers(panel: Panel, one: Evidence, name: str) -> list[dict[str, Any]]:
    """One row per round of an arm."""
    place = {"panel": panel.title, "curve": one.label, "column": name}
    return [
        place | summary._asdict() | {"runs": summary.num_runs}
        for summary in one.summaries(name).values()
    ]


def _draw_sparsity(panel: Panel, results: Results) -> Drawn | None:
    """Curves against sparsity; the dense network is that of the first curve."""
    evidence, name = _begun(panel, results)
    if name is None:
        return None
    dense = evidence[0]._replace(label="dense", arm="dense")
    lines = [
        _line("dense", (summary,), charts.GREY)
        for summary in dense.summaries(name).values()
    ]
    for one, color in zip(evidence, _COLORS):
        if points := tuple(one.summaries(name).values()):
            lines.append(_line(one.label, points, color, one.arm == "random"))
    if not lines:
        return None
    marks = []
    if panel.published > 0:
        label = f"paper, {percent(panel.published)}"
        marks.append(Mark(100 * (1 - panel.published), math.nan, label))
    png = figures.draw(sparsity.chart(name, lines, marks))
    numbers = [row for one in (dense, *evidence) for row in _numbers(panel, one, name)]
    return Drawn([(png, _CAPTION)], numbers, columns.find(name).title)


def _line(
    label: str, points: Sequence[Summary], color: str, is_random: bool = False
) -> Line:
    """A curve against sparsity, with its number of runs in the legend."""
    label = f"{label} (n = {max(point.num_runs for point in points)})"
    look = ("dashed", "square", charts.ORANGE) if is_random else ("", "circle", color)
    return sparsity.line(label, points, *look)


def _draw_tradeoff(panel: Panel, results: Results) -> Drawn | None:
    """Quality against FLOPs saved; FLOPs and time saved against weights removed."""
    evidence, name = _begun(panel, results)
    if name is None or results.evidence(panel.curves[0]) is None:
        return None
    narrow = {curve.label for curve in panel.curves if curve.variant.width != 1}
    dense, *others = evidence
    tickets = claims.compressed([one for one in others if one.label not in narrow])
    (baseline,) = dense.summaries(name).values()
    is_papers = panel.title == published.title("dcgan_cifar10")
    paper = published.EARLY_BIRD if is_papers else {}
    pictures = []
    rows = _savings(panel, dense, tickets, name)
    small = [one for one in others if one.label in narrow]
    controls = _savings(panel, dense, small, name)
    for across, up in (("flops", name), ("weights", "flops"), ("weights", "seconds")):
        lines = [_tickets(rows, _AXES[across], _AXES.get(up), baseline)]
        marks = []
        if up == name:
            if controls:
                lines.append(_narrow(controls, _AXES[across]))
            lines.append(_line("dense", (baseline,), charts.GREY))
            if paper:
                label = "paper: FID 33.49 (dense 37.71)"
                marks.append(Mark(100 * paper[across], math.nan, label))
        elif paper:
            place = ([100 * paper[across]], [100 * paper[up]])
            lines.append(Line("paper", charts.GREEN, *place, marker="hollow"))
        label = _AXES.get(up) or axis_label(up)
        title = f"{panel.title}: {label} against {_AXES[across]}."
        chart = Chart("", title, _AXES[across], label, lines, marks, named=True)
        pictures.append((figures.draw(chart), title))
    numbers = [*_numbers(panel, dense, name), *rows, *controls]
    return Drawn(pictures, numbers) if rows else None


def _savings(
    panel: Panel, dense: Evidence, smaller: Sequence[Evidence], name: str
) -> list[dict[str, Any]]:
    """Quality of smaller networks, and what they save of the dense one's cost."""
    rows = []
    for one in smaller:
        (row,) = _numbers(panel, one, name)
        saved = claims.savings(dense, one).items()
        rows.append(row | {_AXES[axis]: 100 * share for axis, share in saved})
    return rows


def _narrow(rows: Sequence[Mapping[str, Any]], across: str) -> Line:
    """Narrower dense networks, trained from scratch, as points."""
    return Line(
        label="narrower dense networks",
        color=charts.PALETTE[3],
        x=[row[across] for row in rows],
        y=[row["mean"] for row in rows],
        std=[row["std"] for row in rows],
        marker="square",
    )


def _tickets(
    rows: Sequence[Mapping[str, Any]], across: str, up: str | None, dense: Summary
) -> Line:
    """Tickets as named points; up=None: their quality."""
    notes = [
        # The others found no ticket.
        row["curve"] + (f", n = {row['runs']}" if row["runs"] < dense.num_runs else "")
        for row in rows
    ]
    return Line(
        label="early-bird, share of channels cut",
        color=charts.BLUE,
        x=[row[across] for row in rows],
        y=[row[up or "mean"] for row in rows],
        std=[math.nan if up else row["std"] for row in rows],
        notes=notes,
        marker="circle",
    )


def _draw_images(panel: Panel, results: Results) -> Drawn | None:
    """Samples of each arm, dense and at some sparsities."""
    winning = results.evidence(panel.curves[0])
    if winning is None:
        return None
    sparsity = {row["round"]: row["sparsity"] for row in winning.rows}
    rounds = sorted(sparsity)[1:] or [0]
    places = np.linspace(0, len(rounds) - 1, min(len(rounds), _MOST_COLUMNS))
    chosen = [rounds[round(place)] for place in places]

    def picture(number: int, arm: str) -> np.ndarray | None:
        path = paths.sample_path(winning.workdir, number, arm, "samples")
        return np.asarray(Image.open(path)) if path.exists() else None

    lines = {
        curve.arm: [picture(0, "dense"), *(picture(n, curve.arm) for n in chosen)]
        for curve in panel.curves
    }
    names = ["dense", *(percent(sparsity[number]) for number in chosen)]
    png = figures.draw_images(names, lines)
    return Drawn([(png, f"{panel.title}: samples of run 0, the same latents.")])


# Height, width and channels of images, unless an option sets another size.
_SHAPES = {"mnist": (28, 28, 1), "cifar10": (32, 32, 3), "celeb_a": (64, 64, 3)}


def num_weights(file: str) -> int:
    """Number of weights of an experiment file's full-size networks; needs no data."""
    config = options_of(file, "full")
    height, width, channels = _SHAPES[config.data.name]
    side = config.data.image_size
    task = tasks.build(config, (side or height, side or width, channels), 1)
    params = jax.eval_shape(task.init, jax.random.key(0)).params
    return trees.num_weights(params)


def _draw_models(panel: Panel, results: Results) -> Drawn:
    """Table 1: the weights and the winning sparsity of every model."""
    rows = []
    for curve in panel.curves:
        model = published.find(curve.file)
        found = results.unfinished(curve)
        if not found:
            evidence = results.evidence(curve)
            assert evidence is not None  # its training has finished
            name = first_column(panel.columns, [evidence])
            assert name is not None  # each experiment measures one
            judged = evidence.judge(name)
            found = "none" if judged.sparsity is None else percent(judged.sparsity)
            if reservations := gates.failures(judged.gates):
                found += f" ({reservations})"
        rows.append(
            {
                "model": published.title(curve.file),
                "weights, paper": f"{model.weights:.3g}",
                "weights": num_weights(curve.file),
                "winning sparsity, paper": percent(model.sparsity[curve.file]),
                "winning sparsity": found,
                "found with": results.stand_in(curve),
            }
        )
    return Drawn([], rows, is_table=True)


def _draw_methods(panel: Panel, results: Results) -> Drawn | None:
    """Table 2: quality and cost of every method for a sparse DCGAN.

    Weights are the kept kernel weights; FLOPs and seconds are those of a member's whole
    training, including pruning or search.
    """
    evidence, name = _begun(panel, results)
    rows = [_method(one, name) for one in evidence if name]
    return Drawn([], rows, is_table=True) if rows else None


def _method(one: Evidence, name: str) -> dict[str, Any]:
    *_, quality = one.summaries(name).values()
    paper = published.TABLE2.get(one.label, ("", "", ""))
    return {
        "row": one.label,
        "runs": quality.num_runs,
        "diverged": quality.num_diverged,
        name: mean_std(quality),
        "sparsity": percent(one.mean("sparsity")),
        "weights": f"{one.weights():.0f}",
        "FLOPs": f"{one.flops():.4g}",
        "FLOPs, masked": f"{one.mean('flops_masked'):.4g}",
        "seconds": f"{one.mean('seconds'):.2f}",
        **dict(zip(("paper: FID", "paper: FLOPs", "paper: seconds"), paper)),
    }


DRAW = {
    "sparsity": _draw_sparsity,
    "tradeoff": _draw_tradeoff,
    "images": _draw_images,
    "table1": _draw_models,
    "table2": _draw_methods,
}
