"""Parts of a workdir's page: tables of its rounds, its images, its options."""

import pathlib
from typing import Any

import pandas as pd

from gen_tickets.report import statistics
from gen_tickets.report.outcomes import Outcome
from gen_tickets.report.page import Picture, Table
from gen_tickets.report.statistics import Summary
from gen_tickets.report.verdict import Verdict
from gen_tickets.workdir import paths, tables


def samples(run: Outcome) -> list[tuple[str, list[Picture]]]:
    """Returns the image grids of each round, the original images in the first."""
    arms = statistics.summarize(run.rows, run.metric)
    originals = paths.originals_path(run.workdir)
    images = [_image(originals, "originals")] if originals.exists() else []
    found = []
    for number in sorted({row["round"] for row in run.rows}):
        for kind in ("reconstructions", "samples"):
            for arm in tables.ARMS:
                path = paths.sample_path(run.workdir, number, arm, kind)
                if path.exists():
                    summary = arms.get(arm, {}).get(number)
                    caption = _caption(arm, kind, run.metric, summary)
                    images.append(_image(path, caption))
        if images:
            sparsity = next(r["sparsity"] for r in run.rows if r["round"] == number)
            title = f"Round {number}, {statistics.percent(sparsity)} sparsity"
            found.append((title, images))
        images = []
    return found


def _image(path: pathlib.Path, caption: str) -> Picture:
    return path.read_bytes(), caption


def _caption(arm: str, kind: str, metric: str, summary: Summary | None) -> str:
    if summary is None:
        return f"{arm}, {kind}"
    sparsity = statistics.percent(summary.sparsity)
    return f"{arm}, {kind}, {sparsity}: {metric} {statistics.mean_std(summary)}"


def parameters(workdir: pathlib.Path) -> str:
    """Returns the table of weights, "" of a workdir that has none."""
    path = paths.parameters_path(workdir)
    return path.read_text("utf-8", "replace") if path.exists() else ""


def facts(config: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Returns all options by group; those of no group are the runs'."""
    groups: dict[str, dict[str, Any]] = {}
    for name, value in config.items():
        group, _, leaf = name.rpartition(".")
        shown = ", ".join(map(str, value)) if isinstance(value, tuple) else value
        groups.setdefault(group or "runs", {})[leaf] = "–" if shown == "" else shown
    return groups


def rounds(run: Outcome, judged: Verdict) -> Table:
    """Returns mean and standard deviation of every arm in every round."""
    names = [run.metric]
    for role in ("metric", "progress", "cost"):
        names += statistics.of_role(run.rows, role)
    summaries = {x: statistics.summarize(run.rows, x) for x in dict.fromkeys(names)}
    summaries = {name: arms for name, arms in summaries.items() if arms}
    found = {of_round.round for of_round in judged.rounds if of_round.found}
    rows, styles = [], []
    frame = pd.DataFrame(run.rows)
    for (number, arm), group in frame.groupby(["round", "arm"], sort=False):
        num_diverged = int(group["diverged"].sum())
        sparsity = statistics.percent(group["sparsity"].iloc[0])
        cells = [arms.get(arm, {}).get(number) for arms in summaries.values()]
        texts = ["" if cell is None else statistics.mean_std(cell) for cell in cells]
        rows.append([number, arm, sparsity, len(group), num_diverged, *texts])
        is_found = arm == "winning" and number in found
        styles.append("bad" if num_diverged else "found" if is_found else "")
    columns = ["round", "arm", "sparsity", "runs", "diverged", *summaries]
    return Table(columns, rows, styles)


def results(rows: statistics.Rows) -> Table:
    """Returns all rows of results.csv."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = [[row.get(name, "") for name in names] for row in rows]
    styles = ["bad" if row["diverged"] else "" for row in rows]
    return Table(names, lines, styles)
