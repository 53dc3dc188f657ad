"""Was a winning ticket found? What a results table says, in numbers and in words.

A winning ticket is *found* at a sparsity when the winning arm does as well as the
unpruned network and the random control does significantly worse:

- as well: mean(winning) is at most one standard deviation of the dense runs (ddof = 1)
  worse than mean(dense), the border included;
- worse: mean(random) is worse than mean(winning) and Welch's two-sided t-test gives
  p < 0.05, for each round alone, not corrected for the number of rounds.

A diverged run (flagged, or with a number that is not finite) is counted apart: means,
deviations and tests are of the other runs. A winning arm with one does not match, and
the dense runs must leave three. Of a random arm at least two runs must be left for a
test; one whose runs all diverged is worse. To leave its worst runs out can only make
random look better; as a number they would need a value that nobody measured, whose
distance to the others hides the difference in their variance.

Four gates say whether the trainings allow a verdict at all, see `report.gates`. What
fails stands before the sentence, and takes no number from it.
"""

import math
from typing import Any, Mapping, NamedTuple, Sequence

import numpy as np

from gen_tickets.report import gates as gates_lib
from gen_tickets.report import statistics
from gen_tickets.report.gates import P_BORDER, Gate
from gen_tickets.report.statistics import Rows, Summaries, Summary, mean_std, percent
from gen_tickets.workdir import columns

MIN_RUNS = 3


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


class Verdict(NamedTuple):
    """Largest sparsity with a winning ticket (None: none), said in words, and why."""

    metric: str
    sparsity: float | None
    unbroken: float | None  #: the winning arm matches in every round up to here
    finding: str  #: in words, whatever the gates say
    notes: tuple[str, ...]
    dense: Summary | None
    rounds: Rounds
    gates: tuple[Gate, ...] = ()  #: none where nothing is measured yet

    @property
    def sentence(self) -> str:
        """The finding, after what the gates of the training have against it."""
        reservations = gates_lib.failures(self.gates)
        if not reservations or self.finding.startswith("No verdict"):
            return self.finding
        return f"{reservations} With this reservation: {self.finding}"


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


def _judge_round(
    dense: Summary, winning: Summary, random: Summary | None, sign: int
) -> Round:
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


def verdict(
    rows: Rows, metric: str, curves: Rows = (), baselines: Mapping[str, Any] = {}
) -> Verdict:
    """Judges a results table by one of its columns.

    Never raises on a table that is not finished: what is missing for a verdict is
    what the sentence says then.

    Args:
      rows: of results.csv; round 0 is dense.
      metric: column compared, such as "heldout_reconstruction".
      curves: of curves.csv.
      baselines: {column: {baseline: value}}, see `workdir.baselines`.
    """
    arms = statistics.summarize(rows, metric)
    searched = [row for row in rows if row["arm"] == "early_bird"]
    if searched:
        judged = _of_searches(searched, metric, arms)
    else:
        judged = _of_rounds(rows, metric, arms)
    arm = "early_bird" if searched else "dense"
    trained = next(iter(arms.get(arm, {}).values()), None)
    if trained is None or columns.find(metric).sign == 0:
        return judged
    gates = gates_lib.of_training(metric, trained, arm, curves, baselines)
    if searched:
        return judged._replace(gates=gates)
    power = _power(trained, judged.rounds)
    if judged.rounds and judged.sparsity is None and power.passed is not None:
        judged = judged._replace(finding=f"{judged.finding} {power.in_words}")
    return judged._replace(gates=(*gates, power))


def _power(dense: Summary, rounds: Rounds) -> Gate:
    """Of the sparsest ticket found, else matched, else of the last round."""
    compared = [x for x in rounds if x.random is not None]
    matched = [x for x in compared if x.matches]
    found = [x for x in matched if x.found]
    one = max(found or matched or compared[-1:], key=_sparsity, default=None)
    if one is None:
        return gates_lib.power(dense, None, None, False)
    return gates_lib.power(dense, one.winning, one.random, one.worse)


def _of_rounds(rows: Rows, metric: str, arms: Summaries) -> Verdict:
    """Winning tickets against the dense network and the random control."""
    dense = arms.get("dense", {}).get(0)
    winning, random = arms.get("winning", {}), arms.get("random", {})
    notes = _notes(arms)
    missing = _missing(rows, metric, dense, winning)
    if missing or dense is None:
        return Verdict(metric, None, None, f"No verdict: {missing}.", notes, dense, ())
    sign = columns.find(metric).sign
    rounds = tuple(
        _judge_round(dense, winning[number], random.get(number), sign)
        for number in sorted(winning)
    )
    # The sparsest round; of two that are as sparse (floors), the later one.
    best = max((r for r in rounds if r.found), key=_sparsity, default=None)
    unbroken = None
    for judged in rounds:
        if not judged.matches:
            break
        unbroken = judged.sparsity
    sentence = _sentence(metric, dense, rounds, best, unbroken)
    sparsity = None if best is None else best.sparsity
    return Verdict(metric, sparsity, unbroken, sentence, notes, dense, rounds)


def _of_searches(rows: Rows, metric: str, arms: Summaries) -> Verdict:
    """What early-bird tickets came to; how good they are, a comparison must say."""
    epochs = [row["found_epoch"] for row in rows if math.isfinite(row["found_epoch"])]
    head = f"Early-bird tickets are found in {len(epochs)} of {len(rows)} runs"
    if epochs:
        first, last = min(epochs), max(epochs)
        when = f"epoch {first}" if first == last else f"epochs {first} to {last}"
        head += f", at {when}"
    sparsity = float(np.mean([row["sparsity"] for row in rows]))
    share = np.mean([row["flops_compact"] / row["flops_dense"] for row in rows])
    sentence = (
        f"{head}. On average {percent(sparsity)} of the weights are cut out, and the "
        f"training takes {percent(float(share))} of the dense FLOPs, search included."
    )
    if "early_bird" in arms:
        sentence += f" {metric}: {mean_std(arms['early_bird'][1])}."
    found = sparsity if len(epochs) == len(rows) else None
    return Verdict(metric, found, None, sentence, _notes(arms), None, ())


def _sparsity(judged: Round) -> tuple[float, int]:
    return judged.sparsity, judged.round


def _missing(rows: Rows, metric: str, dense: Summary | None, winning: dict) -> str:
    """Returns what keeps a table from a verdict, or an empty text."""
    measured = statistics.of_role(rows, "metric")
    if metric not in measured:
        return f"{metric} is not measured here; measured are {', '.join(measured)}"
    if columns.find(metric).sign == 0:
        return f"{metric} has no better side, neither lower nor higher"
    if dense is None:
        return "the dense network is not measured"
    if dense.num_runs < MIN_RUNS:
        return f"it needs at least {MIN_RUNS} runs, here are {dense.num_runs}"
    if len(dense.values) < MIN_RUNS:
        return (
            f"{dense.num_diverged} of {dense.num_runs} dense runs diverged, "
            f"and it needs at least {MIN_RUNS} that did not"
        )
    return "" if winning else "no winning ticket is trained and measured yet"


def _sentence(
    metric: str,
    dense: Summary,
    rounds: Rounds,
    best: Round | None,
    unbroken: float | None,
) -> str:
    none = f"No winning ticket is found at any of {len(rounds)} sparsities:"
    if best is not None and best.random is not None:
        head = (
            f"Winning tickets are found up to {percent(best.sparsity)} sparsity "
            f"(round {best.round}). There {metric} is {mean_std(best.winning)} over "
            f"{best.winning.num_runs} runs, dense {mean_std(dense)}, random "
            f"{mean_std(best.random)}"
            + (f" (Welch p = {best.p_value:.1g})." if best.random.values else ".")
        )
    elif all(judged.random is None for judged in rounds):
        head = "No verdict: the random control is not trained."
    elif all(judged.winning.num_runs < MIN_RUNS for judged in rounds):
        head = f"No verdict: it needs at least {MIN_RUNS} runs of the winning arm."
    elif not any(judged.matches for judged in rounds):
        head = (
            f"{none} by {metric} the winning arm never does as well as dense "
            f"({mean_std(dense)})."
        )
    elif not any(judged.worse for judged in rounds):
        head = f"{none} by {metric} the random control is never significantly worse."
    else:
        head = (
            f"{none} where {metric} of the winning arm matches dense, random is not "
            "significantly worse."
        )
    return f"{head} {_reach(rounds, unbroken)}"


def _reach(rounds: Rounds, unbroken: float | None) -> str:
    if unbroken is None:
        first = percent(rounds[0].sparsity)
        return f"The first round ({first}) already does not match the dense network."
    gap = "" if unbroken == rounds[-1].sparsity else ", and not at the next one"
    return (
        "The winning arm matches the dense network at every sparsity from the first "
        f"round to {percent(unbroken)}{gap}."
    )


def _notes(arms: Summaries) -> tuple[str, ...]:
    counts = {
        arm: np.sum([(s.num_diverged, s.num_runs) for s in of.values()], axis=0)
        for arm, of in arms.items()
    }
    parts = [f"{bad} of {total} {arm}" for arm, (bad, total) in counts.items() if bad]
    if not parts:
        return ()
    return (
        f"Diverged trainings: {', '.join(parts)}. Means, deviations and tests are of "
        "the others. A winning arm with one does not match; a random arm is worse if "
        "all of its runs diverged.",
    )
