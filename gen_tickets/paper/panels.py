"""The panels of the paper's figures, from the files of their experiments alone.

A panel is drawn from what its experiments have found so far; `DRAW` has the function of
each kind.
"""

import math
from typing import Any, NamedTuple, Sequence

import jax
import numpy as np
from PIL import Image

from gen_tickets import tasks
from gen_tickets.paper import claims, published
from gen_tickets.paper.claims import Evidence
from gen_tickets.paper.figures import Panel
from gen_tickets.paper.results import Results, first_column, options_of
from gen_tickets.report import figures, gates
from gen_tickets.report.figures import Baseline, Curve, Point, Series
from gen_tickets.report.statistics import mean_std, percent
from gen_tickets.workdir import columns, paths

_MOST_COLUMNS = 6
# Orange is the random control's.
_COLORS = [color for color in figures.PALETTE if color != figures.ORANGE]
_CAPTION = (
    "Mean over runs, band = one standard deviation; grey: the dense network; dotted: "
    "the paper's winning sparsity; a cross: diverged runs, which no mean contains."
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
    measure: str = ""  #: what is drawn against sparsity, in words
    is_table: bool = False  #: the numbers are shown, too


def _begun(panel: Panel, results: Results) -> tuple[list[Evidence], str | None]:
    """What its curves say so far, and the column that all have."""
    evidence = list(filter(None, map(results.evidence, panel.curves)))
    return evidence, first_column(panel.columns, evidence)


def _numbers(panel: Panel, one: Evidence, name: str) -> list[dict[str, Any]]:
    """A row of each round of an arm."""
    place = {"panel": panel.title, "curve": one.label, "column": name}
    return [
        place | summary._asdict() | {"runs": summary.num_runs}
        for summary in one.summaries(name).values()
    ]


def _axis(name: str) -> str:
    column = columns.find(name)
    return column.title + (f"\n{column.better} is better" if column.better else "")


def _draw_sparsity(panel: Panel, results: Results) -> Drawn | None:
    """Curves against sparsity; the dense network is that of the first of them."""
    evidence, name = _begun(panel, results)
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
        line, marker = "-", "o"
        if one.arm == "random":
            line, marker, color = "--", "s", figures.ORANGE
        if points:
            label = f"{one.label} (n = {max(point.num_runs for point in points)})"
            curves.append(Curve(label, color, line, marker, points))
    if not curves and not baselines:
        return None
    png = figures.draw_metric(curves, baselines, _axis(name), panel.published)
    numbers = [row for one in (dense, *evidence) for row in _numbers(panel, one, name)]
    return Drawn([(png, _CAPTION)], numbers, columns.find(name).title)


def _draw_tradeoff(panel: Panel, results: Results) -> Drawn | None:
    """Quality against FLOPs saved; FLOPs and time saved against weights cut."""
    evidence, name = _begun(panel, results)
    if name is None or results.evidence(panel.curves[0]) is None:
        return None
    dense, tickets = evidence[0], claims.compressed(evidence[1:])
    (baseline,) = dense.summaries(name).values()
    is_papers = panel.title == published.title("dcgan_cifar10")
    paper = published.EARLY_BIRD if is_papers else {}
    pictures, rows = [], []
    for one in tickets:
        (row,) = _numbers(panel, one, name)
        saved = claims.savings(dense, one).items()
        rows.append(row | {_AXES[axis]: 100 * share for axis, share in saved})
    for across, up in (("flops", name), ("weights", "flops"), ("weights", "seconds")):
        points = [_point(row, _AXES[across], _AXES.get(up), baseline) for row in rows]
        series = [Series("early-bird, share of channels cut", figures.BLUE, points)]
        line = mark = None
        if up == name:
            line = Baseline("dense", figures.GREY, baseline)
            label = "paper: FID 33.49 (dense 37.71)"
            mark = (100 * paper[across], label) if paper else None
        elif paper:
            place = Point(100 * paper[across], 100 * paper[up], math.nan, "")
            series.append(Series("paper", figures.GREEN, [place], "", True))
        label = _AXES.get(up) or _axis(up)
        png = figures.draw_points(series, _AXES[across], label, line, mark)
        pictures.append((png, f"{panel.title}: {label} against {_AXES[across]}."))
    return Drawn(pictures, [*_numbers(panel, dense, name), *rows]) if rows else None


def _point(row, across: str, up: str | None, dense) -> Point:
    """A ticket in a plane; `up` None: its quality."""
    label = row["curve"]
    if row["runs"] < dense.num_runs:  # the others found no ticket
        label += f", n = {row['runs']}"
    if up is None:
        return Point(row[across], row["mean"], row["std"], label)
    return Point(row[across], row[up], math.nan, label)


def _draw_images(panel: Panel, results: Results) -> Drawn | None:
    """Samples of each arm, dense and at some sparsities."""
    winning = results.evidence(panel.curves[0])
    if winning is None:
        return None
    sparsity = {row["round"]: row["sparsity"] for row in winning.rows}
    rounds = sorted(sparsity)[1:] or [0]
    places = np.linspace(0, len(rounds) - 1, min(len(rounds), _MOST_COLUMNS))
    chosen = [rounds[round(place)] for place in places]

    def picture(number: int, arm: str):
        path = paths.sample_path(winning.workdir, number, arm, "samples")
        return np.asarray(Image.open(path)) if path.exists() else None

    lines = {
        curve.arm: [picture(0, "dense"), *(picture(n, curve.arm) for n in chosen)]
        for curve in panel.curves
    }
    names = ["dense", *(percent(sparsity[number]) for number in chosen)]
    png = figures.draw_images(names, lines)
    return Drawn([(png, f"{panel.title}: samples of run 0, the same latents.")])


# Height, width and channels of the images, where no option says another size.
_SHAPES = {"mnist": (28, 28, 1), "cifar10": (32, 32, 3), "celeb_a": (64, 64, 3)}


def num_weights(file: str) -> int:
    """Weights of the full-size networks of an experiment file, built without data."""
    config = options_of(file, "full")
    height, width, channels = _SHAPES[config.data.name]
    side = config.data.image_size
    task = tasks.build(config, (side or height, side or width, channels), 1)
    params = jax.eval_shape(task.init, jax.random.key(0)).params
    return sum(leaf.size for leaf in jax.tree.leaves(params))


def _draw_models(panel: Panel, results: Results) -> Drawn:
    """Table 1: every model with its weights and the winning sparsity found."""
    rows = []
    for curve in panel.curves:
        model = published.find(curve.file)
        found = results.unfinished(curve)
        if not found:
            evidence = results.evidence(curve)
            name = first_column(panel.columns, [evidence])
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
    """Table 2: quality and cost of every way to a sparse DCGAN.

    Weights are kernel weights that are kept; FLOPs and seconds are of a member's whole
    training, pruning or search included.
    """
    evidence, name = _begun(panel, results)
    rows = [_method(one, name) for one in evidence if name]
    return Drawn([], rows, is_table=True) if rows else None


def _method(one: Evidence, name: str) -> dict[str, Any]:
    rows, (*_, quality) = one.last_rows(), one.summaries(name).values()
    layers = [layer for layer in one.layers if layer["round"] == rows[0]["round"]]
    paper = published.TABLE2.get(one.label, ("", "", ""))
    return {
        "row": one.label,
        "runs": quality.num_runs,
        "diverged": quality.num_diverged,
        name: mean_std(quality),
        "sparsity": percent(one.mean("sparsity")),
        "weights": f"{sum(layer['kept'] for layer in layers) / len(rows):.0f}",
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
