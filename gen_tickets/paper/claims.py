"""Tests of the paper's claims, of the results of finished experiments.

A test takes the column that is quality and the evidence of each curve of the claim; it
returns whether the claim holds, and the numbers that say so. Arms are compared as in
`report.verdict`: Welch's two-sided t-test over runs, p < 0.05, a diverged run as the
worst value of all that is compared, at least 3 runs a side.
"""

import math
from typing import Any, NamedTuple, Sequence

import numpy as np

from gen_tickets.report import statistics, verdict
from gen_tickets.report.statistics import Summary, direction, mean_std, percent

Tested = tuple[bool, str]

_NEAR = 0.005  # two sparsities that are the same but for rounding and floors
_NEAR_SAVING = 0.06  # from the paper's share of FLOPs saved to that of a ticket here


class NotTried(Exception):
    """The results do not judge the claim; the message says what is missing."""


class Evidence(NamedTuple):
    """An arm of an experiment."""

    label: str
    arm: str
    rows: Sequence[dict[str, Any]]  #: of results.csv, all arms; seconds of one member
    layers: Sequence[dict[str, Any]] = ()  #: of layers.csv

    def summaries(self, metric: str) -> dict[int, Summary]:
        """{round: Summary} of the arm."""
        return statistics.summarize(self.rows, metric).get(self.arm, {})

    def last(self, metric: str) -> Summary:
        """Of the arm's last round; raises NotTried where it has fewer than 3 runs."""
        rounds = self.summaries(metric)
        if not rounds or rounds[max(rounds)].num_runs < verdict.MIN_RUNS:
            raise NotTried(f"{self.label}: it needs {verdict.MIN_RUNS} runs")
        return rounds[max(rounds)]

    def last_rows(self) -> list[dict[str, Any]]:
        """The arm's rows of its last round."""
        rows = [row for row in self.rows if row["arm"] == self.arm]
        return [row for row in rows if row["round"] == rows[-1]["round"]]

    def mean(self, column: str) -> float:
        """Of the arm's last round, over all runs."""
        return float(np.mean([row[column] for row in self.last_rows()]))

    def flops(self) -> float:
        """Of a training where no kernel is sparse, mean over runs."""
        compact = self.arm == "early_bird"
        return self.mean("flops_compact" if compact else "flops_dense")

    def cut(self) -> "Evidence":
        """Without early-bird runs that found no ticket: their network stays whole."""
        return self._replace(rows=[r for r in self.rows if not _is_whole(r)])


def _is_whole(row: dict[str, Any]) -> bool:
    return row["arm"] == "early_bird" and row["sparsity"] == 0


def _check_found(*evidence: Evidence) -> None:
    """Raises NotTried where a search found nothing: a dense network is no ticket."""
    for one in evidence:
        whole = sum(map(_is_whole, one.rows))
        if whole:
            found = f"no ticket in {whole} of {len(one.rows)} runs, which stay whole"
            raise NotTried(f"{one.label}: {found}")


class Comparison(NamedTuple):
    """How the second of two arms does beside the first, significantly."""

    worse: bool
    better: bool
    sentence: str


def compare(metric: str, first: Summary, second: Summary, names) -> Comparison:
    """Compares two arms by a column; where all runs diverged, they are the same."""
    sign, texts = direction(metric), []
    both = first.values + second.values
    p_value, behind = 1.0, 0.0
    if both:
        worst = min(both) if sign > 0 else max(both)
        a = first.values + (worst,) * first.num_diverged
        b = second.values + (worst,) * second.num_diverged
        p_value = verdict.welch_p(a, b)
        behind = sign * (statistics.moments(a)[0] - statistics.moments(b)[0])
    for summary, name in zip((first, second), names, strict=True):
        diverged = f", {summary.num_diverged} diverged" if summary.num_diverged else ""
        texts.append(f"{mean_std(summary)} ({name}{diverged})")
    sentence = f"{metric} {' against '.join(texts)}, Welch p = {p_value:.1g}"
    significant = p_value < verdict.P_BORDER
    return Comparison(significant and behind > 0, significant and behind < 0, sentence)


def _common(metric: str, first: Evidence, second: Evidence):
    """[(Summary, Summary)] at equal sparsities with 3 runs each, the sparsest last."""
    pairs = [
        (a, b)
        for a in first.summaries(metric).values()
        for b in second.summaries(metric).values()
        if abs(a.sparsity - b.sparsity) < _NEAR
        and min(a.num_runs, b.num_runs) >= verdict.MIN_RUNS
    ]
    return sorted(pairs, key=lambda pair: pair[0].sparsity)


# --- tickets at a sparsity ----------------------------------------------------------


def winning_sparsity(metric: str, winning: Evidence, published: float) -> Tested:
    """Is a winning ticket found at the paper's sparsity, or a higher one?

    Rounds have sparsities of their own: asked for is the largest that is not above
    the paper's.
    """
    judged = verdict.verdict(winning.rows, metric)
    below = [x.sparsity for x in judged.rounds if x.sparsity < published + _NEAR]
    if not below:
        raise NotTried(judged.sentence)
    found = judged.sparsity is not None and judged.sparsity >= max(below) - _NEAR
    return found, judged.sentence


def _at_the_top(metric: str, first: Evidence, second: Evidence) -> Comparison:
    """At the highest sparsity of both; where they have none, at the last of each."""
    _check_found(first, second)
    pairs = _common(metric, first, second)
    a, b = pairs[-1] if pairs else (first.last(metric), second.last(metric))
    found = compare(metric, a, b, (first.label, second.label))
    if not pairs:
        return found
    where = f"at {percent(a.sparsity)} sparsity{_components(first)}"
    return found._replace(sentence=f"{where} {found.sentence}")


def _components(one: Evidence) -> str:
    """ " (96.9 % of the decoder)" where not all components were pruned."""
    row, prefix = one.last_rows()[0], "sparsity_"
    shares = {x.removeprefix(prefix): row[x] for x in row if x.startswith(prefix)}
    pruned = [f"{percent(share)} of the {x}" for x, share in shares.items() if share]
    return f" ({', '.join(pruned)})" if len(pruned) < len(shares) else ""


def others_worse(metric: str, first: Evidence, *others: Evidence) -> Tested:
    """Are all others significantly worse than the first?"""
    found = [_at_the_top(metric, first, other) for other in others]
    return all(x.worse for x in found), "; ".join(x.sentence for x in found)


def like_the_own_ticket(metric: str, transferred, own, random) -> Tested:
    """Is a transferred ticket not worse than the own one, and better than random?"""
    to_own = _at_the_top(metric, own, transferred)
    to_random = _at_the_top(metric, transferred, random)
    text = f"{to_own.sentence}; {to_random.sentence}"
    return not to_own.worse and to_random.worse, text


def nowhere_worse(metric: str, first: Evidence, second: Evidence) -> Tested:
    """Is the first arm at no sparsity significantly worse than the second?"""
    names = (first.label, second.label)
    found = [compare(metric, a, b, names) for a, b in _common(metric, first, second)]
    if not found:
        raise NotTried(f"no sparsity at which both have {verdict.MIN_RUNS} runs")
    worse, better = sum(x.better for x in found), sum(x.worse for x in found)
    text = f"{names[0]} is significantly better than {names[1]} at {better} of "
    return worse == 0, f"{text}{len(found)} sparsities, significantly worse at {worse}"


def matches(metric: str, first: Evidence, second: Evidence) -> Tested:
    """Is the second within one standard deviation of the first, or better?"""
    _check_found(first, second)
    return _matches(metric, first, second)


def _matches(metric: str, first: Evidence, second: Evidence) -> Tested:
    a, b = first.last(metric), second.last(metric)
    if not a.values:
        raise NotTried(f"{first.label}: all runs diverged")
    text = f"{metric} {mean_std(b)} ({second.label}), {mean_std(a)} ({first.label})"
    return verdict.matches(a, b, direction(metric)), text


# --- early-bird tickets against the dense training ------------------------------------


def compressed(evidence: Sequence[Evidence]) -> list[Evidence]:
    """Those that found tickets, without the runs that found none."""
    return [small for one in evidence if (small := one.cut()).rows]


def savings(dense: Evidence, small: Evidence) -> dict[str, float]:
    """Shares of the dense training's FLOPs and seconds, and of its weights, saved."""
    return {
        "flops": 1 - small.flops() / dense.flops(),
        "weights": small.mean("sparsity"),
        "seconds": 1 - small.mean("seconds") / dense.mean("seconds"),
    }


def _nearest(dense: Evidence, evidence, saving: float) -> tuple[Evidence, str]:
    """The one that saves about such a share of the FLOPs, and its share in percent."""
    found = {savings(dense, one)["flops"]: one for one in compressed(evidence)}
    share = min(found, key=lambda x: abs(x - saving), default=math.inf)
    if abs(share - saving) > _NEAR_SAVING:
        most = f"; the most is {percent(max(found))}" if found else ""
        raise NotTried(f"no training saves about {percent(saving)} of the FLOPs{most}")
    return found[share], percent(share)


def as_good_with_less(metric: str, dense, *birds: Evidence, saving: float) -> Tested:
    """Does the ticket that saves such a share of FLOPs match the dense network?"""
    small, share = _nearest(dense, birds, saving)
    holds, text = _matches(metric, dense, small)
    return holds, f"with {share} fewer FLOPs {text}"


def time_saved(metric: str, dense, *birds, flops: float, time: float) -> Tested:
    """Does the ticket that saves such a share of FLOPs save as much time?"""
    del metric
    small, share = _nearest(dense, birds, flops)
    saved = savings(dense, small)["seconds"]
    return saved >= time, f"{share} fewer FLOPs are {percent(saved)} less time"


def found_by_epoch(metric: str, dense, *birds: Evidence, last: int) -> Tested:
    """Are all tickets found within so many epochs?"""
    del metric, dense
    epochs = [row["found_epoch"] for one in birds for row in one.rows]
    found = [epoch for epoch in epochs if math.isfinite(epoch)]
    text = f"found in {len(found)} of {len(epochs)} searches"
    if found:
        text += f", at epochs {min(found)} to {max(found)}"
    return len(found) == len(epochs) and max(found) <= last, text
