"""Sections of a page: tables of rounds, images, options."""

import math
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from gen_tickets.config import registries
from gen_tickets.report import statistics
from gen_tickets.report.outcomes import Outcome
from gen_tickets.report.page import Cell, Sample, Table
from gen_tickets.report.sparsity import distinct
from gen_tickets.report.stability import Stability
from gen_tickets.report.statistics import Summary
from gen_tickets.report.verdict import Verdict
from gen_tickets.workdir import columns, paths, tables

Rounds = dict[int, tuple[str, list[Sample]]]  #: {round: (title, grids)}

_COMMON = ("round", "arm", "sparsity", "runs", "diverged")
_PREFIXES = ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"))


def samples(run: Outcome, label: str = "") -> tuple[list[Sample], Rounds]:
    """The image grids of a workdir.

    Args:
      run: the contents of the workdir.
      label: of the workdir, before each caption.

    Returns:
      (grids of originals and of the dense network, grids of the other rounds).
    """
    originals = paths.originals_path(run.workdir)
    fixed = []
    if originals.exists():
        fixed = [Sample(originals.read_bytes(), _said(label, "originals"))]
    found: Rounds = {}
    for number in sorted({row["round"] for row in run.rows}):
        grids = [
            Sample(
                path.read_bytes(), _said(label, _caption(run, number, arm, kind)), arm
            )
            for kind in ("reconstructions", "samples")
            for arm in tables.ARMS
            if (path := paths.sample_path(run.workdir, number, arm, kind)).exists()
        ]
        if number == 0:
            fixed += grids
        elif grids:
            sparsity = np.mean(
                [r["sparsity"] for r in run.rows if r["round"] == number]
            )
            share = statistics.percent(float(sparsity))
            found[number] = (f"{number}, {share} sparsity", grids)
    return fixed, found


def compared_samples(
    runs: Sequence[Outcome], labels: Sequence[str]
) -> tuple[list[Sample], Rounds]:
    """The image grids of several workdirs, side by side in every round."""
    fixed: list[Sample] = []
    rounds: Rounds = {}
    for run, label in zip(runs, labels, strict=True):
        of_run, others = samples(run, label)
        fixed += of_run
        for number, (_, grids) in others.items():
            before = rounds.get(number, ("", []))[1]
            rounds[number] = (str(number), [*before, *grids])
    return fixed, dict(sorted(rounds.items()))


def _said(label: str, text: str) -> str:
    return f"{label}: {text}" if label else text


def _caption(run: Outcome, number: int, arm: str, kind: str) -> str:
    """The caption of a grid, with the value of a metric of the same images."""
    caption = f"{arm.replace('_', ' ')}, {kind} of run 0"
    if name := _quality(run, kind):
        summary = statistics.summarize(run.rows, name).get(arm, {}).get(number)
        if summary is not None:
            mean = statistics.mean_std(summary)
            caption += f"; {columns.find(name).title}: {mean}"
    return caption


def _quality(run: Outcome, kind: str) -> str:
    """The column that judges these images; "" if there is none.

    Samples are judged by metrics of samples, never by a task's loss.
    """
    names = statistics.of_role(run.rows, "metric")
    if kind == "reconstructions":
        names = [name for name in names if name == "heldout_reconstruction"]
    else:
        others = _of_reconstructions()
        names = [x for x in names if columns.metric_of(x) == x and x not in others]
    return next((name for name in names if columns.find(name).better), "")


def _of_reconstructions() -> set[str]:
    """The columns of the metrics of reconstructions."""
    metrics = [metric for _, metric in registries.metric.items()]
    judging = [metric for metric in metrics if metric.of_reconstructions]
    return {column.name for metric in judging for column in metric.columns}


def parameters(workdir: pathlib.Path) -> str:
    """Returns the table of weights; "" if the workdir has none."""
    path = paths.parameters_path(workdir)
    return path.read_text("utf-8", "replace") if path.exists() else ""


def facts(config: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Returns all options by group; options without a group are under the run's."""
    groups: dict[str, dict[str, Any]] = {}
    for name, value in config.items():
        group, _, leaf = name.rpartition(".")
        shown = ", ".join(map(str, value)) if isinstance(value, tuple) else value
        groups.setdefault(group or "runs", {})[leaf] = "–" if shown == "" else shown
    return groups


def rounds(
    runs: Sequence[Outcome], labels: Sequence[str], judged: Sequence[Verdict]
) -> Table:
    """Returns mean and standard deviation of every arm in every round.

    Headings are the labels and units of columns. A column with the same values as an
    earlier one is named in the heading of that one.

    Args:
      runs: of one or more workdirs; with several, their labels are the first column.
      labels, judged: of each workdir.
    """
    names = [runs[0].metric]
    for role in ("metric", "progress", "cost"):
        names += [x for run in runs for x in statistics.of_role(run.rows, role)]
    shown = distinct(runs, names)
    is_several = len(runs) > 1
    rows: list[list[Any]] = []
    styles: list[str] = []
    for run, label, verdict in zip(runs, labels, judged, strict=True):
        of_run, of_rows = _rounds(run, verdict, list(shown))
        rows += [[label, *row] if is_several else row for row in of_run]
        styles += of_rows
    place = _COMMON.index("arm") + is_several
    return Table(
        columns=[*["workdir"] * is_several, *_COMMON, *map(_heading, shown.items())],
        rows=rows,
        styles=styles,
        titles=["Sort"] * (len(_COMMON) + is_several)
        + [_tip(x) for x in shown.items()],
        arms=[row[place] for row in rows],
    )


def _heading(column: tuple[str, list[str]]) -> str:
    name, same = column
    return " = ".join(columns.find(x).title for x in (name, *same))


def _tip(column: tuple[str, list[str]]) -> str:
    name, same = column
    better = columns.find(name).better
    tip = ", ".join((name, *same))
    return f"{tip}: {better} is better" if better else tip


def _rounds(
    run: Outcome, judged: Verdict, names: Sequence[str]
) -> tuple[list[list[Any]], list[str]]:
    """(cells, style) of every arm in every round."""
    summaries = {name: statistics.summarize(run.rows, name) for name in names}
    found = {of_round.round for of_round in judged.rounds if of_round.found}
    rows, styles = [], []
    frame = pd.DataFrame(run.rows)
    for (number, arm), group in frame.groupby(["round", "arm"], sort=False):
        num_diverged = int(group["diverged"].sum())
        cells = [
            _cell(name, arms.get(arm, {}).get(number))
            for name, arms in summaries.items()
        ]
        sparsity = _share(group["sparsity"].tolist())
        rows.append([number, arm, sparsity, len(group), num_diverged, *cells])
        is_found = arm == "winning" and number in found
        styles.append("bad" if num_diverged else "found" if is_found else "")
    return rows, styles


def _share(shares: Sequence[float]) -> Cell:
    """Mean fraction over runs in percent, ± its standard deviation if it has one."""
    mean, std = statistics.moments(shares)
    text = statistics.percent(mean)
    if std > 5e-4:
        text = f"{text.removesuffix(' %')} ± {100 * std:.1f} %"
    return Cell(text, mean)


def _cell(name: str, summary: Summary | None) -> Cell:
    if summary is None:
        return Cell("", math.nan)
    if columns.find(name).unit == "FLOPs" and summary.values:
        size, prefix = next((x for x in _PREFIXES if x[0] <= summary.mean), (1.0, ""))
        return Cell(f"{summary.mean / size:.3g} {prefix}".strip(), summary.mean)
    if summary.std == 0:
        return Cell(f"{summary.mean:.6g}", summary.mean)
    return Cell(statistics.mean_std(summary), summary.mean)


def steps(found: Stability) -> Table:
    """Returns the instability at every step k."""
    title = columns.find(found.column).title
    rows = []
    for one in found.steps:
        mean, std = 100 * one.mean, 100 * one.std
        cell = Cell(f"{mean:.2f} ± {std:.2f}", mean)
        rows.append((one.step, cell, one.ends, one.num_lines))
    return Table(
        ("step k", "instability (%)", f"mean {title} of the ends", "lines"), rows
    )


def results(rows: statistics.Rows) -> Table:
    """Returns all rows of results.csv."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    return Table(
        columns=names,
        rows=[[row.get(name, "") for name in names] for row in rows],
        styles=["bad" if row["diverged"] else "" for row in rows],
        titles=[columns.find(name).title for name in names],
        arms=[row["arm"] for row in rows],
    )
