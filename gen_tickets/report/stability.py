"""Chart and summary of an instability analysis, from stability.csv."""

import itertools
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from gen_tickets.config.registry import nearest
from gen_tickets.errors import UserError
from gen_tickets.evaluation import instability
from gen_tickets.evaluation.instability import Instability
from gen_tickets.report import gates, outcomes, statistics
from gen_tickets.report.charts import BLUE, GREY, PALETTE, Chart, Line, Mark, Tick
from gen_tickets.workdir import baselines, columns, paths, tables

_NOT_LEARNED = (
    "Nothing learned: the {} of the trained copies is not better than that of trivial "
    "models, so their instability says nothing. Mend the training first."
)


class Stability(NamedTuple):
    """The result of an instability analysis."""

    sentence: str
    is_stable: bool
    chart: Chart
    column: str  #: the metric along the lines
    margin: float  #: largest instability that counts as stable
    steps: Sequence[Instability]


def load(workdir: str | pathlib.Path, metric: str = "") -> Stability:
    """Judges a finished analysis.

    Args:
      workdir: of the analysis.
      metric: column that is judged, of which lower is better; "": see `column`.

    Raises:
      UserError: stability.csv or config.json is missing or damaged, or the metric was
        not measured.
    """
    config = outcomes.config_of(workdir)
    margin = config["stability.margin"]
    rows = tables.read_rows(paths.stability_path(workdir))
    name = metric or column(config["eval.verdict"], rows)
    names = statistics.of_role(rows, "metric")
    measured = [x for x in names if columns.find(x).better == "lower"]
    if metric and metric not in measured:
        raise UserError(
            f"eval.verdict={metric!r}",
            f"measured along the lines of {workdir} are {', '.join(measured)}",
            nearest(metric, measured),
        )
    found = instability.by_step(rows, name)
    stable = instability.first_stable_step(found, margin)
    sentence = _sentence(stable, margin)
    trivial = baselines.read(workdir).get(name, {})
    if not gates.is_learned(name, found[-1].ends, trivial):
        sentence = f"{_NOT_LEARNED.format(columns.find(name).wording)} {sentence}"
    return Stability(
        sentence=sentence,
        is_stable=stable is not None,
        chart=_chart(found, name, margin, stable),
        column=name,
        margin=margin,
        steps=found,
    )


def column(verdict: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """The metric along the lines: `eval.verdict`, or else the held-out loss."""
    is_distance = verdict in rows[0] and columns.find(verdict).better == "lower"
    return verdict if is_distance else "heldout_loss"


def _sentence(stable: int | None, margin: float) -> str:
    if stable is None:
        return f"Not stable (margin {margin:.3g}) at any step analysed."
    return (
        f"Stable (margin {margin:.3g}) from step {stable} on. "
        f"Rewind there: --config.rewind.step={stable}."
    )


def told(found: Stability) -> str:
    """The text of an analysis: one line per step k, and the conclusion."""
    lines = ["  step k  instability (%)"]
    for one in found.steps:
        mean, std = 100 * one.mean, 100 * one.std
        lines.append(f"{one.step:8}  {mean:.2f} ± {std:.2f} (ends {one.ends:.4g})")
    return "\n".join([*lines, found.sentence])


def compared(found: Sequence[Stability], labels: Sequence[str]) -> Chart:
    """Instability of several analyses, a line each, in percent against step k.

    Args:
      found: analyses by the same metric.
      labels: of their lines.
    """
    steps = sorted({one.step for analysis in found for one in analysis.steps})
    lines = [
        _line(analysis.steps, found[0].column, label, color, steps)
        for analysis, label, color in zip(found, labels, itertools.cycle(PALETTE))
    ]
    borders = [_border(x) for x in sorted({analysis.margin for analysis in found})]
    return _against_steps(found[0].column, steps, [*lines, *borders])


def _chart(
    found: Sequence[Instability], name: str, margin: float, stable: int | None
) -> Chart:
    """The chart of one analysis, with its first stable step marked."""
    steps = [one.step for one in found]
    line = _line(found, name, "copies trained apart", BLUE, steps)
    marks = [
        Mark(x, y, f"first stable step, {stable}")
        for x, y, step in zip(line.x, line.y, steps, strict=True)
        if step == stable and math.isfinite(y)
    ]
    return _against_steps(name, steps, [line, _border(margin)], marks)


def _line(
    found: Sequence[Instability],
    name: str,
    label: str,
    color: str,
    steps: Sequence[int],
) -> Line:
    title = columns.find(name).title
    return Line(
        label=label,
        color=color,
        # Steps are powers of two or fractions of a training: evenly spaced.
        x=[float(steps.index(one.step)) for one in found],
        y=[100 * one.mean for one in found],
        std=[100 * one.std for one in found],
        notes=[f"k = {x.step}, mean {title} of the ends {x.ends:.4g}" for x in found],
        marker="circle",
    )


def _border(margin: float) -> Line:
    return Line(
        f"margin, {100 * margin:.3g} %", GREY, [], [100 * margin], dash="dashed"
    )


def _against_steps(
    name: str, steps: Sequence[int], lines: list[Line], marks: Sequence[Mark] = ()
) -> Chart:
    """Instability in percent of the mean of the ends, against step k."""
    title = columns.find(name).title
    return Chart(
        name="stability",
        title=f"Instability of {title}",
        xlabel="step k from which the copies train apart",
        ylabel=f"instability (% of {title})",
        lines=lines,
        marks=list(marks),
        xlim=(-0.3, len(steps) - 0.7),
        xticks=[Tick(i, str(step)) for i, step in enumerate(steps)],
    )
