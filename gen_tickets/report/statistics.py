"""Statistics of a results table: one metric of one arm and round, over its runs.

Means and standard deviations (ddof = 1) are over the runs that did not diverge; the
number of diverged runs is always reported with them. A run diverged if its row says so
or if its number is not finite.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from gen_tickets.workdir import columns

Rows = Sequence[Mapping[str, Any]]


class Summary(NamedTuple):
    """One metric of one arm in one round, over its runs."""

    round: int
    sparsity: float
    remaining: float
    mean: float
    std: float  #: ddof = 1; nan with fewer than two values
    values: tuple[float, ...]  #: of the runs that did not diverge
    num_diverged: int

    @property
    def num_runs(self) -> int:
        return len(self.values) + self.num_diverged


Summaries = dict[str, dict[int, Summary]]  #: {arm: {round: Summary}}


def of_role(rows: Rows, role: columns.Role) -> list[str]:
    """Returns the columns of a role, in the order of the table."""
    names = dict.fromkeys(name for row in rows for name in row)
    return [name for name in names if columns.find(name).role == role]


def summarize(rows: Rows, metric: str) -> Summaries:
    """Returns {arm: {round: Summary}} of one column, in the rounds that measure it."""
    # A non-finite metric means divergence; a non-finite early stop did not happen.
    is_metric = columns.find(metric).role == "metric"
    measured = {row["round"] for row in rows if metric in row}
    groups: dict[str, dict[int, list]] = {}
    for row in rows:
        is_measured = metric in row and (is_metric or math.isfinite(row[metric]))
        # A diverged run counts, but not in rounds that `eval.every_rounds` leaves out.
        if is_measured or (row["diverged"] and row["round"] in measured):
            arm = groups.setdefault(row["arm"], {})
            arm.setdefault(row["round"], []).append(row)
    return {
        arm: {number: _summary(group, metric) for number, group in sorted(of.items())}
        for arm, of in groups.items()
    }


def _summary(rows: Rows, metric: str) -> Summary:
    values = tuple(
        float(row[metric])
        for row in rows
        if not row["diverged"] and math.isfinite(row[metric])
    )
    mean, std = moments(values)
    return Summary(
        round=rows[0]["round"],
        sparsity=float(np.mean([row["sparsity"] for row in rows])),
        remaining=float(np.mean([row["remaining"] for row in rows])),
        mean=mean,
        std=std,
        values=values,
        num_diverged=len(rows) - len(values),
    )


def moments(values: Sequence[float]) -> tuple[float, float]:
    """Returns mean and standard deviation (ddof = 1); nan if undefined."""
    if len(values) == 0:
        return math.nan, math.nan
    # Equal values have a deviation of exactly 0, without rounding errors of the mean.
    equal = min(values) == max(values)
    mean = values[0] if equal else float(np.mean(values))
    if len(values) == 1:
        return mean, math.nan
    return mean, 0.0 if equal else float(np.std(values, ddof=1))


def layer_sparsity(layers: Rows) -> dict[str, dict[int, float]]:
    """{layer: {round: mean sparsity over runs, in [0, 1]}} of layers.csv."""
    shares: dict[str, dict[int, list[float]]] = {}
    for row in layers:
        rounds = shares.setdefault(row["layer"], {})
        share = 1 - row["kept"] / row["total"]
        rounds.setdefault(row["round"], []).append(share)
    return {
        layer: {number: float(np.mean(of)) for number, of in rounds.items()}
        for layer, rounds in shares.items()
    }


def percent(share: float) -> str:
    """Returns a fraction in percent: 0.893 is "89.3 %"; two decimals near 100 %."""
    return f"{100 * share:.{2 if 0.985 < share < 1 else 1}f} %"


def mean_std(summary: Summary) -> str:
    """Returns "0.01230 ± 0.00045": two digits of the deviation, the mean to match."""
    if not summary.values:
        return "all diverged"
    mean, std = summary.mean, summary.std
    if len(summary.values) == 1:
        return f"{mean:.4g}"
    if not 1e-6 < std <= abs(mean) < 1e6:
        return f"{mean:.4g} ± {std:.2g}"
    decimals = max(0, 1 - math.floor(math.log10(std)))
    return f"{mean:.{decimals}f} ± {std:.{decimals}f}"


def welch_freedom(variances: np.ndarray, counts: Sequence[int]) -> float:
    """Degrees of freedom of Welch (1947).

    Args:
      variances: of the two means, std^2 / count; not both 0.
      counts: values of each, 2 or more.
    """
    parts = variances**2 / np.subtract(counts, 1)
    return float(variances.sum() ** 2 / parts.sum())
