"""Charts against sparsity: one column of results.csv over the rounds.

The horizontal axis is the fraction of remaining kernel weights on a log scale, with
dense on the left, so rounds that prune a fixed fraction are evenly spaced. The sparsity
is written along the top. Points are means over runs, bands one standard deviation
(ddof = 1).
"""

import math
from collections.abc import Sequence

from gen_tickets.report import statistics
from gen_tickets.report.charts import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PALETTE,
    Chart,
    Line,
    Mark,
    Tick,
)
from gen_tickets.report.outcomes import Outcome
from gen_tickets.report.statistics import Summary
from gen_tickets.report.verdict import Verdict
from gen_tickets.workdir import columns

#: {arm: (dash, marker, colour)}
LOOKS = {
    "dense": ("", "", GREY),
    "winning": ("", "circle", BLUE),
    "random": ("dashed", "square", ORANGE),
    "rewound_random": ("dashed", "square", GREEN),
    "early_bird": ("", "circle", GREEN),
    "rigl": ("", "circle", BLUE),
    "magran": ("", "circle", GREEN),
    "static": ("dashed", "square", ORANGE),
}


def axis_label(name: str) -> str:
    """The axis label of a column, with the direction that is better."""
    column = columns.find(name)
    better = f"{column.better} is better" if column.better else ""
    return f"{column.title}\n{better}".strip()


def measures(runs: Sequence[Outcome]) -> dict[str, list[str]]:
    """{column to chart: other columns with equal values}.

    The verdict's metric comes first. Metrics on training images are omitted if those on
    held-out images exist; the tables have them.
    """
    names = [runs[0].metric]
    for role in ("metric", "progress"):
        names += [x for run in runs for x in statistics.of_role(run.rows, role)]
    is_there = set(names)
    chosen = [
        name
        for name in names
        if not name.startswith("train_")
        or f"heldout_{columns.metric_of(name)}" not in is_there
    ]
    return distinct(runs, chosen)


def distinct(runs: Sequence[Outcome], names: Sequence[str]) -> dict[str, list[str]]:
    """Groups columns with equal values: {first of them: the others}.

    Constant columns are never grouped, since equal constants are a coincidence.
    """
    found: dict[str, list[str]] = {}
    first: dict[tuple[str, ...], str] = {}
    for name in dict.fromkeys(names):
        # As text, because nan equals nan here.
        values = tuple(str(row.get(name)) for run in runs for row in run.rows)
        kept = first.setdefault(values, name) if len(set(values)) > 1 else name
        if kept == name:
            found[name] = []
        else:
            found[kept].append(name)
    return found


def charts(
    runs: Sequence[Outcome], labels: Sequence[str], judged: Verdict | None = None
) -> list[Chart]:
    """The charts of all columns of `measures`; the verdict's metric is first.

    Args:
      runs: of one or more workdirs; with several, each has its own colour.
      labels: names of the workdirs in the legend.
      judged: if given, its winning ticket is marked.
    """
    found = []
    for name, others in measures(runs).items():
        is_main = name == runs[0].metric
        drawn = chart(
            name,
            lines(runs[0], name) if judged else _overlaid(runs, labels, name),
            _marks(runs[0], judged if is_main else None),
            same=others,
        )
        # A single point makes no chart, but several arms at one sparsity do.
        if drawn.has_curve or is_main and len(drawn.values) > 1:
            found.append(drawn._replace(small=not is_main))
    return found


def chart(
    name: str,
    drawn: Sequence[Line],
    marks: Sequence[Mark] = (),
    same: Sequence[str] = (),
) -> Chart:
    """A column against the remaining weights in percent."""
    shares = {round(x, 6) for line in drawn for x in line.x if x > 0}
    right = min([*shares, *(mark.x for mark in marks), 90.0])
    margin = math.exp(0.025 * math.log(100 / right))
    title = columns.find(name).title
    if same:
        title += f" (the same as {', '.join(columns.find(x).title for x in same)})"
    return Chart(
        name=name,
        title=title,
        xlabel="remaining weights (%)",
        ylabel=axis_label(name),
        lines=drawn,
        marks=marks,
        xlim=(100 * margin, right / margin),
        xticks=[
            Tick(share, percentage(share), percentage(100 - share))
            for share in sorted({100.0} | shares, reverse=True)
        ],
        xlog=True,
        top_label="sparsity (%)",
    )


def percentage(value: float) -> str:
    """Three significant digits (100, 51.2, 98.8); four near 100, two below 1."""
    if 99.05 <= value < 100:
        return f"{value:.2f}"
    return f"{value:.3g}" if value >= 1 else f"{value:.2g}"


def lines(run: Outcome, name: str) -> list[Line]:
    """One line per arm; that of the dense network is horizontal."""
    return [
        line(arm, of, *LOOKS.get(arm, ("dotted", "square", GREEN)))
        for arm, of in (
            (arm, tuple(of.values()))
            for arm, of in statistics.summarize(run.rows, name).items()
        )
    ]


def _overlaid(runs: Sequence[Outcome], labels: Sequence[str], name: str) -> list[Line]:
    """The lines of several workdirs, with a colour per workdir and a style per arm."""
    return [
        line._replace(label=label, kind=line.label, color=PALETTE[i % len(PALETTE)])
        for i, (run, label) in enumerate(zip(runs, labels))
        for line in lines(run, name)
    ]


def line(
    label: str, points: Sequence[Summary], dash: str, marker: str, color: str
) -> Line:
    """The rounds of an arm; a single round without sparsity is horizontal."""
    is_dense = len(points) == 1 and points[0].sparsity == 0
    remaining = [100 * point.remaining for point in points]
    return Line(
        label=label,
        color=color,
        x=[] if is_dense else remaining,
        y=[point.mean for point in points],
        std=[point.std for point in points],
        notes=[_note(point) for point in points],
        dash=dash,
        marker="" if is_dense else marker,
        crosses=[x for x, point in zip(remaining, points) if point.num_diverged],
    )


def _note(point: Summary) -> str:
    note = f"round {point.round}, {statistics.percent(point.sparsity)} sparsity, "
    note += f"n = {len(point.values)}"
    return note + (f", {point.num_diverged} diverged" if point.num_diverged else "")


def _marks(run: Outcome, judged: Verdict | None) -> list[Mark]:
    """The sparsest winning ticket found, and the paper's."""
    found = [x for x in judged.rounds if x.found] if judged else []
    marks = []
    if best := max(found, key=lambda x: (x.sparsity, x.round), default=None):
        label = f"winning ticket found, {statistics.percent(best.sparsity)}"
        marks.append(Mark(100 * best.winning.remaining, best.winning.mean, label))
    if run.paper_sparsity > 0:
        label = f"paper, {statistics.percent(run.paper_sparsity)}"
        marks.append(Mark(100 * (1 - run.paper_sparsity), math.nan, label))
    return marks
