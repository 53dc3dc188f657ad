"""Two arms of a round compared: as well as dense, worse than winning.

- as well: mean(winning) is at most one standard deviation of the dense runs (ddof = 1)
  worse than mean(dense), the border included;
- worse: mean(random) is worse than mean(winning) and Welch's two-sided t-test gives
  p < 0.05, for each round alone, not corrected for the number of rounds.

A diverged run (flagged, or with a number that is not finite) is counted apart: means,
deviations and tests are of the other runs. A winning arm with one does not match. Of a
random arm at least two runs must be left for a test; one whose runs all diverged is
worse. To leave its worst runs out can only make random look better; as a number they
would need a value that nobody measured, whose distance to the others hides the
difference in their variance.
"""

import math
from typing import NamedTuple, Sequence

import numpy as np

from gen_tickets.report import statistics
from gen_tickets.report.statistics import Summary

MIN_RUNS = 3
P_BORDER = 0.05


class Round(NamedTuple):
    """What a round says: `matches` and `worse` together are a ticket found."""

    round: int
    sparsity: float
    winning: Summary
    random: Summary | None
    matches: bool
    worse: bool
    p_value: float  #: nan where the random control is missing

    @property
    def found(self) -> bool:
        return self.matches and self.worse


Rounds = tuple[Round, ...]


def matches(dense: Summary, winning: Summary, sign: int) -> bool:
    """Is the winning mean within one dense deviation of the dense mean, or better?"""
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
    from scipy import stats  # here: it takes a second, which every start would wait

    test = stats.ttest_ind_from_stats(
        mean_a, std_a, len(a), mean_b, std_b, len(b), equal_var=False
    )
    return float(test.pvalue)


def compare(a: Summary, b: Summary) -> float:
    """Returns Welch's p of the runs of two arms that did not diverge.

    It is 0 where all runs of one arm diverged, and of the other at most one run in two;
    nan where an arm has fewer than two runs left.
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
    """Judges a round; sign: +1 where higher is better, -1 where lower is."""
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
