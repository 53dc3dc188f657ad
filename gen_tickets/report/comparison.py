"""Comparison of two arms of a round: winning against dense, random against winning.

- matches: mean(winning) is worse than mean(dense) by at most one standard deviation of
  the dense runs (ddof = 1), inclusive;
- worse: mean(random) is worse than mean(winning), and Welch's two-sided t-test gives
  p < 0.05 in this round, not corrected for the number of rounds.

Diverged runs (flagged, or with a non-finite number) are excluded from means, deviations
and tests. A winning arm with a diverged run does not match. A random arm needs at least
two other runs for a test; if all its runs diverged, it is worse. Excluding its worst
runs can only make the random arm look better. Including them would need an invented
value, whose distance to the others would hide the difference in their variance.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from gen_tickets.report import statistics
from gen_tickets.report.statistics import Summary

MIN_RUNS = 3
P_BORDER = 0.05


class Round(NamedTuple):
    """The result of a round; a ticket is found if both `matches` and `worse` hold."""

    round: int
    sparsity: float
    winning: Summary
    random: Summary | None
    matches: bool
    worse: bool
    p_value: float  #: nan if the random control is missing

    @property
    def found(self) -> bool:
        return self.matches and self.worse


Rounds = tuple[Round, ...]


def by_sparsity(judged: Round) -> tuple[float, int]:
    """Sorting key; of two rounds of equal sparsity (floors) the later one is last."""
    return judged.sparsity, judged.round


def matches(dense: Summary, winning: Summary, sign: int) -> bool:
    """Whether the winning mean is better or at most one dense deviation worse."""
    if winning.num_diverged > 0:
        return False
    deficit = sign * (dense.mean - winning.mean)
    rounding = 4 * np.finfo(np.float64).eps * max(abs(dense.mean), dense.std)
    return bool(deficit <= dense.std + rounding)


def welch_p(a: Sequence[float], b: Sequence[float]) -> float:
    """Returns the two-sided p of Welch's t-test; two constant samples: 0 or 1."""
    (mean_a, std_a), (mean_b, std_b) = statistics.moments(a), statistics.moments(b)
    if std_a == std_b == 0:
        return float(mean_a == mean_b)
    # Here, and without scipy.stats, because the imports take up to two seconds.
    from scipy import special

    variances = np.square([std_a, std_b]) / [len(a), len(b)]
    t = (mean_a - mean_b) / math.sqrt(variances.sum())
    freedom = statistics.welch_freedom(variances, (len(a), len(b)))
    return float(2 * special.stdtr(freedom, -abs(t)))


def compare(a: Summary, b: Summary) -> float:
    """Returns Welch's p for the runs of two arms that did not diverge.

    It is 0 if all runs of one arm diverged and fewer than half of the other's did; nan
    if an arm has fewer than two runs left.
    """
    for one, other in ((a, b), (b, a)):
        if not one.values and len(other.values) > max(1, other.num_diverged):
            return 0.0
    if min(len(a.values), len(b.values)) < 2:
        return math.nan
    return welch_p(a.values, b.values)


def judge_round(
    dense: Summary, winning: Summary, random: Summary | None, sign: int
) -> Round:
    """Judges a round; sign: +1 if higher is better, -1 if lower is."""
    p_value, worse = math.nan, False
    if random is not None and random.num_runs >= MIN_RUNS:
        p_value = compare(winning, random)
        behind = not random.values or sign * (winning.mean - random.mean) > 0
        worse = behind and p_value < P_BORDER
    return Round(
        round=winning.round,
        sparsity=winning.sparsity,
        winning=winning,
        random=random,
        matches=winning.num_runs >= MIN_RUNS and matches(dense, winning, sign),
        worse=worse,
        p_value=p_value,
    )
