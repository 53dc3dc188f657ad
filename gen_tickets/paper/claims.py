"""Tests of the paper's claims on the results of finished experiments.

A test takes the quality column and the evidence of each curve of the claim. It returns
whether the claim holds, and the numbers. Arms are compared as in `report.comparison`:
Welch's two-sided t-test over the runs that did not diverge, p < 0.05, with at least 3
runs per arm.
"""

import math
import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from gen_tickets.report import comparison, statistics, verdict
from gen_tickets.report.statistics import Summary, mean_std, percent
from gen_tickets.report.verdict import Verdict
from gen_tickets.workdir import columns
from gen_tickets.workdir.baselines import Baselines

Tested = tuple[bool, str]

_NEAR = 0.005  # tolerance of equal sparsities, for rounding and floors
_NEAR_SAVING = 0.06  # tolerance of FLOPs saved, between the paper and a ticket


class NotTried(Exception):
    """The results do not suffice to judge a claim; the message says what is missing."""


class Evidence(NamedTuple):
    """The results of an arm of an experiment."""

    label: str
    arm: str
    rows: Sequence[dict[str, Any]]  #: of results.csv, all arms; seconds of one member
    layers: Sequence[dict[str, Any]] = ()  #: of layers.csv
    workdir: pathlib.Path = pathlib.Path()
    curves: Sequence[dict[str, Any]] = ()  #: of curves.csv
    baselines: Baselines = {}

    def judge(self, metric: str) -> Verdict:
        """The verdict on the experiment, and its gates."""
        return verdict.verdict(self.rows, metric, self.curves, self.baselines)

    def summaries(self, metric: str) -> dict[int, Summary]:
        """{round: Summary} of the arm."""
        return statistics.summarize(self.rows, metric).get(self.arm, {})

    def last(self, metric: str) -> Summary:
        """The arm's last round; raises NotTried if it has fewer than 3 runs."""
        *_, last = self.summaries(metric).values() or [None]
        if last is None or last.num_runs < comparison.MIN_RUNS:
            raise NotTried(f"{self.label}: it needs {comparison.MIN_RUNS} runs")
        return last

    def last_rows(self) -> list[dict[str, Any]]:
        """The arm's rows of its last round."""
        rows = [row for row in self.rows if row["arm"] == self.arm]
        return [row for row in rows if row["round"] == rows[-1]["round"]]

    def mean(self, column: str) -> float:
        """The mean over all runs of the arm's last round."""
        return float(np.mean([row[column] for row in self.last_rows()]))

    def weights(self) -> float:
        """Kept kernel weights in the arm's last round, mean over runs."""
        rows = self.last_rows()
        runs, number = {row["run"] for row in rows}, rows[0]["round"]
        of_round = (x for x in self.layers if x["round"] == number)
        return sum(x["kept"] for x in of_round if x["run"] in runs) / len(runs)

    def flops(self) -> float:
        """FLOPs of a training without sparse kernels, mean over runs."""
        is_compact = self.arm == "early_bird"
        return self.mean("flops_compact" if is_compact else "flops_dense")


def _check_tickets(*evidence: Evidence) -> None:
    """Raises NotTried if a search found nothing: a dense network is not a ticket."""
    for one in evidence:
        rows = [row for row in one.rows if row["arm"] == "early_bird"]
        whole = [row for row in rows if row["sparsity"] == 0]
        if missing := sum(math.isnan(row["found_epoch"]) for row in whole):
            found = f"no ticket in {missing} of {len(rows)} runs, which stay whole"
            raise NotTried(f"{one.label}: {found}")


def compare(
    metric: str, first: Summary, second: Summary, names: Sequence[str]
) -> tuple[int, str]:
    """Compares two arms by a column.

    Returns:
      (-1 if the second is significantly worse, +1 if significantly better, else 0; the
      numbers as text).
    """
    p_value = comparison.compare(first, second)
    if first.values and second.values:
        ahead = columns.find(metric).sign * (second.mean - first.mean)
    else:
        ahead = len(second.values) - len(first.values)
    texts = []
    for summary, name in zip((first, second), names, strict=True):
        diverged = f", {summary.num_diverged} diverged" if summary.num_diverged else ""
        texts.append(f"{mean_std(summary)} ({name}{diverged})")
    is_tested = min(len(first.values), len(second.values)) > 1
    test = f", Welch p = {p_value:.1g}" if is_tested else ""
    text = f"{metric} {' against '.join(texts)}{test}"
    return (int(np.sign(ahead)) if p_value < comparison.P_BORDER else 0), text


def _common(
    metric: str, first: Evidence, second: Evidence
) -> list[tuple[Summary, Summary]]:
    """[(Summary, Summary)] at equal sparsities with at least 3 runs, sparsest last.

    A round is in one pair at most: late rounds are nearer to each other than `_NEAR`.
    """
    near = [
        (abs(a.sparsity - b.sparsity), a, b)
        for a in first.summaries(metric).values()
        for b in second.summaries(metric).values()
        if abs(a.sparsity - b.sparsity) < _NEAR
        and min(a.num_runs, b.num_runs) >= comparison.MIN_RUNS
    ]
    pairs: list[tuple[Summary, Summary]] = []
    for _, a, b in sorted(near, key=lambda x: x[0]):  # nearest first
        if not any(a.round == c.round or b.round == d.round for c, d in pairs):
            pairs.append((a, b))
    return sorted(pairs, key=lambda pair: (pair[0].sparsity, pair[0].round))


def _at_the_top(metric: str, first: Evidence, second: Evidence) -> tuple[int, str]:
    """Compares at the highest common sparsity, or without one in the last round."""
    _check_tickets(first, second)
    names, pairs = (first.label, second.label), _common(metric, first, second)
    if not pairs:
        return compare(metric, first.last(metric), second.last(metric), names)
    order, text = compare(metric, pairs[-1][0], pairs[-1][1], names)
    number, prefix = pairs[-1][0].round, "sparsity_"
    of_arm = (x for x in first.rows if x["arm"] == first.arm)
    row = next(x for x in of_arm if x["round"] == number)
    shares = {x.removeprefix(prefix): row[x] for x in row if x.startswith(prefix)}
    pruned = [f"{percent(share)} of the {x}" for x, share in shares.items() if share]
    where = f" ({', '.join(pruned)})" if len(pruned) < len(shares) else ""
    return order, f"at {percent(pairs[-1][0].sparsity)} sparsity{where} {text}"


def winning_sparsity(metric: str, winning: Evidence, published: float) -> Tested:
    """Is a winning ticket found at the paper's sparsity, or a higher one?

    Rounds may have other sparsities: the largest one up to the paper's is required.
    """
    judged = winning.judge(metric)
    below = [x.sparsity for x in judged.rounds if x.sparsity < published + _NEAR]
    if not below:
        raise NotTried(judged.finding)
    return (judged.sparsity or 0.0) >= max(below) - _NEAR, judged.finding


def as_good_as_dense(metric: str, method: Evidence, published: float) -> Tested:
    """Is a method of sparse training as good as dense, at the sparsity or above it?"""
    judged = method.judge(metric)
    if judged.dense is None or judged.dense.num_runs < comparison.MIN_RUNS:
        raise NotTried(judged.finding)
    return (judged.sparsity or 0.0) >= published - _NEAR, judged.finding


def others_worse(metric: str, first: Evidence, *others: Evidence) -> Tested:
    """Are all others significantly worse than the first, at the highest sparsity?"""
    found = [_at_the_top(metric, first, other) for other in others]
    return all(order < 0 for order, _ in found), "; ".join(text for _, text in found)


def like_the_own_ticket(
    metric: str, transferred: Evidence, own: Evidence, random: Evidence
) -> Tested:
    """Is a transferred ticket not worse than the own ticket, and better than random?"""
    to_own, text = _at_the_top(metric, own, transferred)
    of_random, more = _at_the_top(metric, transferred, random)
    return to_own >= 0 and of_random < 0, f"{text}; {more}"


def nowhere_worse(metric: str, first: Evidence, second: Evidence) -> Tested:
    """Is the first arm never significantly worse than the second, at any sparsity?"""
    names, pairs = (first.label, second.label), _common(metric, first, second)
    if not pairs:
        raise NotTried(f"no sparsity at which both have {comparison.MIN_RUNS} runs")
    orders = [compare(metric, a, b, names)[0] for a, b in pairs]
    text = f"{names[0]} is significantly better than {names[1]} at {orders.count(-1)} "
    text += f"of {len(pairs)} sparsities, significantly worse at {orders.count(1)}"
    return 1 not in orders, text


def matches(metric: str, first: Evidence, second: Evidence) -> Tested:
    """Is the second within one standard deviation of the first, or better?"""
    _check_tickets(first, second)
    a, b = first.last(metric), second.last(metric)
    if not a.values:
        raise NotTried(f"{first.label}: all runs diverged")
    text = f"{metric} {mean_std(b)} ({second.label}), {mean_std(a)} ({first.label})"
    return comparison.matches(a, b, columns.find(metric).sign), text


def compressed(evidence: Sequence[Evidence]) -> list[Evidence]:
    """Early-bird evidence of runs that found a ticket; omits arms without any."""
    cut = [x._replace(rows=[r for r in x.rows if r["sparsity"] > 0]) for x in evidence]
    return [one for one in cut if one.rows]


def savings(dense: Evidence, small: Evidence) -> dict[str, float]:
    """Fractions of the dense training's FLOPs, seconds and weights that are saved."""
    return {
        "flops": 1 - small.flops() / dense.flops(),
        # Not the sparsity, which a narrower dense network does not have.
        "weights": 1 - small.weights() / dense.weights(),
        "seconds": 1 - small.mean("seconds") / dense.mean("seconds"),
    }


def _nearest(
    dense: Evidence, tickets: Sequence[Evidence], saving: float
) -> tuple[Evidence, dict[str, float]]:
    """The ticket whose FLOPs savings are nearest to `saving`, and its savings."""
    found = [(one, savings(dense, one)) for one in compressed(tickets)]
    near = [x for x in found if abs(x[1]["flops"] - saving) <= _NEAR_SAVING]
    if not near:
        most = max((saved["flops"] for _, saved in found), default=None)
        more = "" if most is None else f"; the most is {percent(most)}"
        raise NotTried(f"no training saves about {percent(saving)} of the FLOPs{more}")
    return min(near, key=lambda x: abs(x[1]["flops"] - saving))


def as_good_with_less(
    metric: str, dense: Evidence, *tickets: Evidence, saving: float
) -> Tested:
    """Does the ticket that saves this fraction of FLOPs match the dense network?"""
    small, saved = _nearest(dense, tickets, saving)
    holds, text = matches(metric, dense, small)
    return holds, f"with {percent(saved['flops'])} fewer FLOPs {text}"


def time_saved(
    metric: str, dense: Evidence, *tickets: Evidence, flops: float, time: float
) -> Tested:
    """Does the ticket that saves this fraction of FLOPs save this fraction of time?"""
    del metric
    _, saved = _nearest(dense, tickets, flops)
    text = f"{percent(saved['flops'])} fewer FLOPs are {percent(saved['seconds'])} less"
    return saved["seconds"] >= time, f"{text} time"


def found_by_epoch(
    metric: str, dense: Evidence, *tickets: Evidence, last: int
) -> Tested:
    """Are all tickets found by epoch `last`?"""
    del metric, dense
    epochs = [row["found_epoch"] for one in tickets for row in one.rows]
    found = [epoch for epoch in epochs if math.isfinite(epoch)]
    text = f"found in {len(found)} of {len(epochs)} searches"
    text += f", at epochs {min(found)} to {max(found)}" if found else ""
    return len(found) == len(epochs) and max(found) <= last, text
