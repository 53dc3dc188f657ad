"""Chart, table and summary of a sweep over rewind steps k, from their workdirs."""

import math
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

from gen_tickets.errors import UserError
from gen_tickets.report import learning, outcomes, statistics
from gen_tickets.report.charts import GREY, Chart, Line, Tick
from gen_tickets.report.outcomes import Outcome
from gen_tickets.report.page import Cell, Table
from gen_tickets.report.sparsity import LOOKS, axis_label
from gen_tickets.report.statistics import Summary, percent
from gen_tickets.report.verdict import Verdict
from gen_tickets.workdir import columns, paths

_HEADS = ("rewind step", "winning tickets up to", "matches dense up to")


class Sweep(NamedTuple):
    """The experiments of a sweep that have finished a round."""

    steps: Sequence[str]  #: k of each, as in rewind.sweep
    runs: Sequence[Outcome]
    judged: Sequence[Verdict]

    @property
    def best(self) -> Verdict | None:
        """The verdict with the sparsest winning ticket, of the earliest such step."""
        found = [judged for judged in self.judged if judged.sparsity is not None]
        return max(found, key=lambda judged: judged.sparsity or 0.0, default=None)

    @property
    def sentence(self) -> str:
        """The verdict on the best step."""
        if not any(judged.rounds for judged in self.judged):
            return self.judged[0].finding
        if self.best is None:
            return f"No winning ticket is found for any of {self._count}."
        step = self.steps[self.judged.index(self.best)]
        if len(self.steps) == 1:
            return self.best.sentence
        head = f"Of {self._count}, {step} is the first with the sparsest tickets."
        return f"{head} {self.best.sentence}"

    @property
    def _count(self) -> str:
        return f"{len(self.steps)} rewind step{'s' * (len(self.steps) > 1)}"


def is_sweep(workdir: str | pathlib.Path) -> bool:
    """Whether it is the workdir of a sweep; raises UserError if its config is bad."""
    if not paths.config_path(workdir).exists():
        return False
    return bool(outcomes.config_of(workdir).get("rewind.sweep"))


def load(workdir: str | pathlib.Path, metric: str = "") -> Sweep:
    """Reads a sweep, finished or not.

    Args:
      workdir: of the sweep.
      metric: see `outcomes.load`.

    Raises:
      UserError: no step has finished a round; those of `outcomes.load`.
    """
    steps = outcomes.config_of(workdir)["rewind.sweep"]
    folders = {step: paths.rewind_dir(workdir, step) for step in steps}
    runs = {
        step: outcomes.load(folder, metric)
        for step, folder in folders.items()
        if paths.results_path(folder).exists()
    }
    if not runs:
        raise UserError(
            workdir, "no step of the sweep has results", "wait for the first round"
        )
    return Sweep(list(runs), list(runs.values()), [x.judge() for x in runs.values()])


def told(sweep: Sweep) -> str:
    """The text of a sweep: one line per step k, and the verdict on the best."""
    lines = ["  ".join(f"{head:>{len(head)}}" for head in _HEADS)]
    for row in table(sweep).rows:
        cells = (getattr(cell, "text", cell) for cell in row)
        lines.append("  ".join(f"{x:>{len(head)}}" for x, head in zip(cells, _HEADS)))
    return "\n".join([*lines, sweep.sentence])


def table(sweep: Sweep) -> Table:
    """Returns the sparsity that winning tickets of every step k reach."""
    rows = [
        (step, _share(judged.sparsity), _share(judged.unbroken))
        for step, judged in zip(sweep.steps, sweep.judged, strict=True)
    ]
    styles = ["" if x.sparsity is None else "found" for x in sweep.judged]
    return Table(_HEADS, rows, styles)


def _share(sparsity: float | None) -> Cell:
    if sparsity is None:
        return Cell("none", math.nan)
    return Cell(percent(sparsity), sparsity)


def csv(sweep: Sweep) -> bytes:
    """The table as a file, with shares of the weights, nan for none."""
    lines = [",".join(_HEADS)]
    for step, *cells in table(sweep).rows:
        lines.append(",".join([step, *(f"{cell.value:.9g}" for cell in cells)]))
    return "\n".join([*lines, ""]).encode()


def chart(sweep: Sweep) -> Chart:
    """The verdict's metric against k: a line per round and arm, and dense."""
    name, count = sweep.runs[0].metric, len(sweep.steps)
    return Chart(
        name=f"{name}_by_rewind_step",
        title=f"{columns.find(name).title} against the rewind step",
        # Steps are often powers of ten, and 0.
        xlabel="rewind step k, in order",
        ylabel=axis_label(name),
        lines=_lines(sweep),
        xlim=(-0.3, count - 0.7),
        xticks=[Tick(i, step) for i, step in enumerate(sweep.steps)],
    )


def _lines(sweep: Sweep) -> list[Line]:
    """The lines of dense, and of every arm in some of the rounds."""
    found = [statistics.summarize(run.rows, run.metric) for run in sweep.runs]
    dense = found[0].get("dense", {}).get(0)
    lines = [Line("dense", GREY, [], [dense.mean], [dense.std])] if dense else []
    rounds = {n: x for of in found for n, x in of.get("winning", {}).items()}
    chosen = learning.spread(sorted(rounds))
    for number, color in learning.colors(chosen).items():
        # Every step prunes to the same sparsity, if not the same weights.
        label = f"round {number}, {percent(rounds[number].sparsity)}"
        for arm in dict.fromkeys(arm for of in found for arm in of if arm != "dense"):
            points = [
                (place, step, of[arm][number])
                for place, (step, of) in enumerate(zip(sweep.steps, found))
                if number in of.get(arm, {})
            ]
            if points:
                lines.append(_line(label, arm, color, points))
    return lines


def _line(
    label: str, arm: str, color: str, points: Sequence[tuple[int, str, Summary]]
) -> Line:
    """A round of an arm over the steps that have finished it."""
    dash, marker, _ = LOOKS.get(arm, ("dotted", "square", ""))
    return Line(
        label=label,
        color=color,
        x=[x for x, _, _ in points],
        y=[point.mean for _, _, point in points],
        std=[point.std for _, _, point in points],
        notes=[f"k = {k}, n = {len(point.values)}" for _, k, point in points],
        dash=dash,
        marker=marker,
        crosses=[x for x, _, point in points if point.num_diverged],
        kind=arm.replace("_", " "),
    )
