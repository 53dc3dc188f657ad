"""The panels of the paper's figures, from the files of their experiments alone."""

import math
from typing import Any, NamedTuple, Sequence

import jax
import numpy as np
from PIL import Image

from gen_tickets import tasks
from gen_tickets.paper import claims, declared, plan, table2
from gen_tickets.paper.claims import Evidence
from gen_tickets.paper.declared import (
    Curve,
    Images,
    Lines,
    Models,
    Panel,
    Tradeoff,
)
from gen_tickets.paper.experiment import Experiment
from gen_tickets.paper.results import Results, column
from gen_tickets.report import figures, page, statistics, verdict
from gen_tickets.report.figures import Baseline, Point, Series
from gen_tickets.report.statistics import Summary
from gen_tickets.workdir import columns, paths

_MOST_COLUMNS = 6
# Orange is the random control's.
_COLORS = [color for color in figures.PALETTE if color != figures.ORANGE]
_BIRDS = "early-bird tickets, share of channels cut"
_CAPTION = (
    "Mean over runs, band = one standard deviation; grey: the dense network; dotted: "
    "the paper's winning sparsity; a cross: diverged runs, which no mean contains."
)
# DCGAN in Table 2: 88 % of the FLOPs, 79.7 % of the weights and 47 % of the time saved.
_PAPER_BIRD = {"flops": 88.0, "compression": 79.7, "seconds": 47.3}


class Drawn(NamedTuple):
    """A panel on the page: pictures with captions, lines of numbers.csv, a table."""

    pictures: list[tuple[bytes, str]]
    numbers: list[dict[str, Any]]
    table: str = ""


def _summary_line(title: str, curve: str, name: str, summary) -> dict[str, Any]:
    return {
        "panel": title,
        "curve": curve,
        "column": name,
        "round": summary.round,
        "sparsity": summary.sparsity,
        "mean": summary.mean,
        "std": summary.std,
        "runs": summary.num_runs,
        "diverged": summary.num_diverged,
    }


def _found(curves: Sequence[Curve], results: Results) -> list[Evidence]:
    found = [results.evidence(curve) for curve in curves]
    return [one for one in found if one is not None]


def _draw_panel(panel: Panel, results: Results) -> Drawn | None:
    """Curves against sparsity; the dense network is that of the first of them."""
    evidence = _found(panel.curves, results)
    name = column(panel.measure, evidence)
    if name is None:
        return None
    dense = statistics.summarize(evidence[0].rows, name).get("dense", {}).get(0)
    baselines, curves, numbers = [], [], []
    if dense is not None:
        label = f"dense (n = {dense.num_runs})"
        baselines.append(Baseline(label, figures.GREY, dense))
        numbers.append(_summary_line(panel.title, "dense", name, dense))
    for i, one in enumerate(evidence):
        points = tuple(one.summaries(name).values())
        if points:
            runs = max(point.num_runs for point in points)
            look = ("--", "s") if one.arm == "random" else ("-", "o")
            color = figures.ORANGE if one.arm == "random" else _COLORS[i]
            label = f"{one.label} (n = {runs})"
            curves.append(figures.Curve(label, color, *look, points))
        numbers += [_summary_line(panel.title, one.label, name, p) for p in points]
    if not curves and not baselines:
        return None
    better = columns.find(name).better
    better = f", {better} is better" if better else ""
    ylabel = f"{panel.measure.label}\n({name}{better})"
    png = figures.draw_metric(curves, baselines, ylabel, panel.published)
    return Drawn([(png, _CAPTION)], numbers)


_AXES = {
    "flops": "FLOPs saved (%)",
    "compression": "weights cut (%)",
    "seconds": "training time saved (%)",
}


def _savings(dense: Evidence, one: Evidence) -> dict[str, float]:
    """Where an early-bird ticket stands on every axis, in percent."""
    return {
        "flops": 100 * claims.flops_saving(dense, one),
        "compression": 100 * one.mean("sparsity"),
        "seconds": 100 * claims.saving(dense, one, "seconds"),
    }


def _draw_tradeoff(panel: Tradeoff, results: Results) -> Drawn | None:
    """Quality against FLOPs, FLOPs and time against compression."""
    if results.evidence(panel.curves[0]) is None:
        return None
    evidence = _found(panel.curves, results)
    dense, small = evidence[0], claims.compressed(evidence)
    name = column(panel.measure, evidence)
    if name is None or not small:
        return None
    of_dense = dense.last(name)
    saved = {one.label: _savings(dense, one) for one in small}
    numbers = [_summary_line(panel.title, "dense", name, of_dense)]
    qualities = []
    for one in small:
        found = one.last(name)
        line = _summary_line(panel.title, one.label, name, found)
        numbers.append(line | {f"{k} saved, %": v for k, v in saved[one.label].items()})
        label = one.label
        if found.num_runs < of_dense.num_runs:
            label += f", n = {found.num_runs}"
        point = Point(saved[one.label]["flops"], found.mean, found.std, label)
        qualities.append(point)
    label = "paper: 88 %, FID 33.49 (dense 37.71)"
    png = figures.draw_points(
        [Series(_BIRDS, figures.BLUE, qualities)],
        _AXES["flops"],
        f"{panel.measure.label} ({name})",
        Baseline("dense", figures.GREY, of_dense),
        (_PAPER_BIRD["flops"], label) if panel.published else None,
    )
    pictures = [(png, f"{panel.title}: quality against FLOPs.")]
    for up in ("flops", "seconds"):
        points = [
            Point(of["compression"], of[up], math.nan, label)
            for label, of in saved.items()
        ]
        series = [Series(_BIRDS, figures.BLUE, points)]
        if panel.published:
            place = Point(_PAPER_BIRD["compression"], _PAPER_BIRD[up], math.nan, "")
            series.append(Series("paper", figures.GREEN, [place], "", True))
        png = figures.draw_points(series, _AXES["compression"], _AXES[up])
        pictures.append((png, f"{panel.title}: {_AXES[up]} against weights cut."))
    return Drawn(pictures, numbers)


def _draw_images(panel: Images, results: Results) -> Drawn | None:
    found = results.outcome(panel.curves[0])
    if found is None:
        return None
    sparsity = {row["round"]: row["sparsity"] for row in found.rows}
    rounds = sorted(sparsity)[1:] or [0]
    some = np.linspace(0, len(rounds) - 1, min(len(rounds), _MOST_COLUMNS))
    chosen = [rounds[round(i)] for i in some]

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


def _published(value: float) -> Summary:
    """A number of which the paper prints the mean alone."""
    return Summary(0, 0.0, 1.0, value, math.nan, (value,), 0)


def _draw_lines(panel: Lines, results: Results) -> Drawn | None:
    """Table 2, and its quality beside the paper's."""
    curve = panel.curves[0]
    if results.experiment(curve) is None or results.unfinished(curve):
        return None
    folder = results.folder(curve)
    curves = [Curve(row.label, "table2", row.arm) for row in table2.ROWS]
    evidence = [results.evidence(one) for one in curves]
    name = column(panel.measure, evidence)
    if name is None:
        return None
    lines = table2.table(folder, name)
    found = [one.last(name) for one in evidence]
    here = figures.draw_lines([row.label for row in table2.ROWS], found, name)
    published = [row for row in table2.ROWS if row.paper is not None]
    paper = figures.draw_lines(
        [row.label for row in published],
        [_published(row.paper.fid) for row in published],
        "FID",
    )
    table = page.table(list(lines[0]), [list(line.values()) for line in lines])
    return Drawn([(here, "Here."), (paper, "The paper.")], lines, table)


def num_weights(setting: str) -> int:
    """Weights of a setting's networks as the paper has them, built without data."""
    config = Experiment(setting, setting).config("")
    task = tasks.build(config, plan.image_shape(config), 1)
    shapes = jax.eval_shape(task.init, jax.random.key(0)).params
    return sum(leaf.size for leaf in jax.tree.leaves(shapes))


def _winning_sparsity(model: declared.Model, setting: str, results: Results) -> str:
    """What was found of a setting, in words where nothing was."""
    curve = Curve("winning", setting)
    reason = results.unfinished(curve)
    if reason:
        return reason
    evidence = results.evidence(curve)
    judgement = verdict.verdict(evidence.rows, column(model.measure, [evidence]))
    share = judgement.sparsity
    return "none" if share is None else statistics.percent(share)


def _draw_models(panel: Models, results: Results) -> Drawn:
    """Table 1."""
    lines = []
    for model in declared.MODELS:
        for setting, published in model.sparsity.items():
            lines.append(
                {
                    "model": declared.title(setting),
                    "weights, paper": f"{model.weights:.3g}",
                    "weights": num_weights(setting),
                    "winning sparsity, paper": statistics.percent(published),
                    "winning sparsity": _winning_sparsity(model, setting, results),
                    "found with": results.scale.instead(setting),
                }
            )
    table = page.table(list(lines[0]), [list(line.values()) for line in lines])
    return Drawn([], lines, table)


_DRAW = {
    Panel: _draw_panel,
    Tradeoff: _draw_tradeoff,
    Images: _draw_images,
    Lines: _draw_lines,
    Models: _draw_models,
}


def draw(panel, results: Results) -> Drawn | None:
    """Draws a panel from what its experiments have found so far; None: nothing yet."""
    return _DRAW[type(panel)](panel, results)
