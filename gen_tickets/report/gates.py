"""Gates: four conditions for a meaningful verdict on tickets.

- converged: the best held-out evaluation is not the last one, or the last tenth of
  the training improved the metric by less than one standard deviation of the runs;
- repeatable: that deviation is at most a tenth of the mean;
- learned: the mean is better than that of trivial models, see `workdir.baselines`;
- power: Welch's test found the random control worse, or would have found a difference
  of a tenth of the dense mean.

A failed gate is stated before the verdict; power only if no difference was found. No
gate hides a number.
"""

import collections
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from gen_tickets.report.comparison import P_BORDER
from gen_tickets.report.statistics import (
    Rows,
    Summary,
    mean_std,
    percent,
    welch_freedom,
)
from gen_tickets.workdir import baselines as baselines_lib
from gen_tickets.workdir import columns

_TENTH = 0.1


class Gate(NamedTuple):
    """One condition for a meaningful verdict."""

    name: str  #: "converged", "repeatable", "learned" or "power"
    passed: bool | None  #: None: not recorded, or not measured yet
    sentence: str  #: a sentence with the numbers, without a full stop

    @property
    def in_words(self) -> str:
        """The sentence as part of a text."""
        return f"{self.sentence[0].upper()}{self.sentence[1:]}."


def failed(gates: Sequence[Gate]) -> list[Gate]:
    """The gates that a training does not pass.

    The power gate is reported with a difference that was not found, see `verdict`.
    """
    return [x for x in gates if x.passed is False and x.name != "power"]


def failures(gates: Sequence[Gate]) -> str:
    """Returns what fails of a training, in words; "" where nothing does."""
    return " ".join(gate.in_words for gate in failed(gates))


def of_training(
    metric: str, trained: Summary, arm: str, curves: Rows, baselines: Mapping[str, Any]
) -> tuple[Gate, ...]:
    """Returns the gates of one training: converged, repeatable, learned.

    Args:
      metric: column that the verdict compares; lower or higher is better.
      trained: summary of the judged networks over their runs.
      arm: their arm, such as "dense".
      curves: rows of curves.csv.
      baselines: {column: {baseline: value}}.
    """
    of_arm = [
        row for row in curves if (row["arm"], row["round"]) == (arm, trained.round)
    ]
    return (
        _converged(metric, trained, arm, _mean_curve(metric, of_arm, trained.mean)),
        _repeatable(trained, arm),
        _learned(metric, trained, arm, baselines.get(metric, {})),
    )


def _mean_curve(metric: str, rows: Rows, final: float) -> dict[int, float]:
    """{step: mean over finite runs} in the order of the steps.

    A metric of samples is only measured before the last tenth and at the end; its mean
    there, in results.csv, is `final`.
    """
    values: dict[int, list[float]] = collections.defaultdict(list)
    for row in rows:
        if math.isfinite(row.get(metric, math.nan)):
            values[row["step"]].append(row[metric])
    if values:
        values.setdefault(max(row["step"] for row in rows), [final])
    return {step: float(np.mean(values[step])) for step in sorted(values)}


def _converged(
    metric: str, trained: Summary, arm: str, curve: Mapping[int, float]
) -> Gate:
    earlier = [step for step in curve if 10 * step <= 9 * max(curve)]
    words = f"the {columns.find(metric).wording}"
    if math.isnan(trained.std):
        return Gate("converged", None, "convergence unknown: it takes two runs")
    if not earlier:
        reason = f"{words} before the last tenth of the {arm} training is not recorded"
        return Gate("converged", None, f"convergence unknown: {reason}")
    sign, first, last = columns.find(metric).sign, earlier[-1], max(curve)
    best = max(curve, key=lambda step: sign * curve[step])
    improved = sign * (curve[last] - curve[first])
    if best != last and improved >= trained.std:
        change = f"{words} of {arm} is best at step {best} of {last}"
        return Gate("converged", True, f"converged: {change}")
    passed = improved < trained.std
    numbers = (
        f"{words} of {arm} {'improved' if improved > 0 else 'got worse'} by "
        f"{abs(improved):.2g} from step {first} to the last, {last}; one standard "
        f"deviation is {trained.std:.2g}"
    )
    head = "converged" if passed else "not converged"
    return Gate("converged", passed, f"{head}: {numbers}")


def _repeatable(trained: Summary, arm: str) -> Gate:
    if math.isnan(trained.std):
        return Gate("repeatable", None, "repeatability unknown: it takes two runs")
    share = trained.std / abs(trained.mean) if trained.std else 0.0
    passed = share <= _TENTH
    numbers = f"the standard deviation of {arm} is {percent(share)} of the mean"
    if passed:
        return Gate("repeatable", True, f"repeatable: {numbers}")
    border = f"more than {percent(_TENTH)}; train for more steps or more runs"
    return Gate("repeatable", False, f"too noisy to judge: {numbers}, {border}")


def is_learned(metric: str, value: float, baselines: Mapping[str, float]) -> bool:
    """Whether a metric is better than those of all trivial models.

    Args:
      metric: its column.
      value: of a trained network.
      baselines: {baseline: value} of the metric; that of real images does not count.
    """
    sign = columns.find(metric).sign
    trivial = (x for name, x in baselines.items() if name != baselines_lib.REAL)
    return all(sign * (value - x) > 0 for x in trivial)


def _learned(
    metric: str, trained: Summary, arm: str, baselines: Mapping[str, float]
) -> Gate:
    trivial = {k: v for k, v in baselines.items() if k != baselines_lib.REAL}
    column = columns.find(metric)
    if not trivial or not trained.values:
        reason = f"baselines of the {column.wording} are not recorded"
        return Gate("learned", None, reason)
    passed = is_learned(metric, trained.mean, baselines)
    known = "; ".join(f"{name} {value:.4g}" for name, value in baselines.items())
    head = "learned" if passed else "nothing learned"
    reached = f"the {column.wording} of {arm} is {mean_std(trained)}"
    return Gate("learned", passed, f"{head}: {reached}; baselines: {known}")


def power(
    dense: Summary, winning: Summary | None, random: Summary | None, is_worse: bool
) -> Gate:
    """Returns the power gate: the comparison of a ticket with its random control.

    Args:
      dense: of round 0; a relevant difference is relative to its mean.
      winning, random: of one round; None: missing.
      is_worse: whether random is significantly worse there.
    """
    if winning is None or random is None:
        return Gate("power", None, "power unknown: no random control to compare with")
    smallest = smallest_difference(winning, random)
    if math.isnan(smallest):
        return Gate("power", None, "power unknown: it takes two runs of each arm")
    scale = abs(dense.mean)
    share = smallest / scale if scale else math.inf if smallest else 0.0
    passed = is_worse or share <= _TENTH
    numbers = (
        f"with {len(winning.values)} and {len(random.values)} runs at "
        f"{percent(winning.sparsity)} sparsity, Welch's test detects a difference of "
        f"{smallest:.2g} or more ({percent(share)} of the dense mean)"
    )
    more = "" if passed else "; more runs detect smaller ones"
    return Gate(
        "power", passed, f"{'power' if passed else 'no power'}: {numbers}{more}"
    )


def smallest_difference(a: Summary, b: Summary) -> float:
    """Returns the difference of means that gives p = 0.05 in Welch's two-sided test.

    It is t(0.975, df) * sqrt(std_a^2 / n_a + std_b^2 / n_b) with df by
    `statistics.welch_freedom`; nan if an arm has fewer than two values.
    """
    if min(len(a.values), len(b.values)) < 2:
        return math.nan
    variances = np.square([a.std, b.std]) / [len(a.values), len(b.values)]
    if not variances.any():
        return 0.0
    from scipy import special  # here, because the import takes time

    freedom = welch_freedom(variances, (len(a.values), len(b.values)))
    t = special.stdtrit(freedom, 1 - P_BORDER / 2)
    return float(t * math.sqrt(variances.sum()))
