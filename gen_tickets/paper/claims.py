"""What the paper claims, as tests of results: reproduced, not reproduced, not tried.

A test takes the evidence of finished experiments and the column that is quality. Two
arms are compared as `verdict` does it: Welch's two-sided t-test over runs, p < 0.05, a
diverged run as the worst value of all that is compared; at least 3 runs a side.
"""

import math
from typing import Any, NamedTuple, Sequence

import numpy as np

from gen_tickets.report import statistics, verdict
from gen_tickets.report.statistics import Summary, mean_std, percent
from gen_tickets.workdir import columns

REPRODUCED, NOT_REPRODUCED = "reproduced", "not reproduced"
NOT_TRIED = "not tried"

_NEAR = 0.005  # two sparsities that are the same but for rounding and floors


class Evidence(NamedTuple):
    """An arm of a finished experiment."""

    label: str
    arm: str
    rows: Sequence[dict[str, Any]]  # of its results.csv, all arms

    def summaries(self, metric: str) -> dict[int, Summary]:
        """{round: Summary} of the arm."""
        return statistics.summarize(self.rows, metric).get(self.arm, {})

    def last(self, metric: str) -> Summary | None:
        """Of the arm's last round."""
        of = self.summaries(metric)
        return of[max(of)] if of else None

    def mean(self, column: str) -> float:
        """Of the arm's rows, over all runs."""
        return float(np.mean([r[column] for r in self.rows if r["arm"] == self.arm]))

    def whole(self) -> int:
        """Runs of early-bird search that found no ticket, so that nothing was cut."""
        return sum(self._stays_whole(row) for row in self.rows)

    def cut(self) -> "Evidence":
        """The same without the runs that found no ticket."""
        return self._replace(rows=[r for r in self.rows if not self._stays_whole(r)])

    def _stays_whole(self, row: dict[str, Any]) -> bool:
        return row["arm"] == self.arm == "early_bird" and row["sparsity"] == 0


class Judgement(NamedTuple):
    """What became of a claim, and the numbers that say so."""

    outcome: str
    found: str


class Comparison(NamedTuple):
    """How the second of two arms does beside the first."""

    worse: bool  # significantly
    better: bool  # significantly
    sentence: str


def _judged(holds: bool, found: str) -> Judgement:
    return Judgement(REPRODUCED if holds else NOT_REPRODUCED, found)


def _enough(*found: Summary | None) -> bool:
    return all(s is not None and s.num_runs >= verdict.MIN_RUNS for s in found)


def compare(metric: str, first, second, names: tuple[str, str]) -> Comparison:
    """Compares two arms at one place.

    Args:
      metric: a column with a better side.
      first, second: Summary; at least one run of each did not diverge, or both are
        called the same.
      names: of the two, for the sentence.
    """
    sign = columns.find(metric).sign
    both = first.values + second.values
    p_value, behind = 1.0, 0.0
    if both:
        worst = min(both) if sign > 0 else max(both)
        a = first.values + (worst,) * first.num_diverged
        b = second.values + (worst,) * second.num_diverged
        p_value = verdict.welch_p(a, b)
        behind = sign * (statistics.moments(a)[0] - statistics.moments(b)[0])
    told = [
        f"{mean_std(s)} ({name}{f', {s.num_diverged} diverged' * bool(s.num_diverged)})"
        for s, name in ((first, names[0]), (second, names[1]))
    ]
    sentence = f"{metric} {told[0]} against {told[1]}, Welch p = {p_value:.1g}"
    significant = p_value < verdict.P_BORDER
    return Comparison(significant and behind > 0, significant and behind < 0, sentence)


def _common(a: dict[int, Summary], b: dict[int, Summary]):
    """Pairs of the same sparsity, the sparsest last."""
    pairs = [
        (x, y)
        for x in a.values()
        for y in b.values()
        if abs(x.sparsity - y.sparsity) < _NEAR
    ]
    return sorted(pairs, key=lambda pair: pair[0].sparsity)


def winning_sparsity(published: float):
    """A test: is a winning ticket found at the paper's sparsity, or a higher one?

    Rounds have sparsities of their own: asked for is the largest that is not above
    the paper's.
    """

    def test(evidence: Sequence[Evidence], metric: str) -> Judgement:
        judged = verdict.verdict(evidence[0].rows, metric)
        grid = [x.sparsity for x in judged.rounds if x.sparsity < published + _NEAR]
        if not grid:
            return Judgement(NOT_TRIED, judged.sentence)
        found = judged.sparsity is not None and judged.sparsity >= max(grid) - _NEAR
        return _judged(found, judged.sentence)

    return test


def second_is_worse_at_the_top(evidence: Sequence[Evidence], metric: str) -> Judgement:
    """Is the second arm significantly worse at the highest sparsity of both?"""
    pairs = _common(*(one.summaries(metric) for one in evidence))
    if not pairs or not _enough(*pairs[-1]):
        return Judgement(NOT_TRIED, "no sparsity at which both have 3 runs")
    labels = (evidence[0].label, evidence[1].label)
    found = compare(metric, *pairs[-1], labels)
    at = f"at {percent(pairs[-1][0].sparsity)} sparsity"
    return _judged(found.worse, f"{at} {found.sentence}")


def first_is_nowhere_worse(evidence: Sequence[Evidence], metric: str) -> Judgement:
    """Is the first arm at no sparsity significantly worse than the second?"""
    pairs = _common(*(one.summaries(metric) for one in evidence))
    pairs = [pair for pair in pairs if _enough(*pair)]
    if not pairs:
        return Judgement(NOT_TRIED, "no sparsity at which both have 3 runs")
    labels = (evidence[0].label, evidence[1].label)
    found = [compare(metric, *pair, labels) for pair in pairs]
    worse, better = (sum(x.better for x in found), sum(x.worse for x in found))
    return _judged(
        worse == 0,
        f"{labels[0]} is significantly better than {labels[1]} at {better} of "
        f"{len(pairs)} sparsities, significantly worse at {worse}",
    )


def _pruned(one: Evidence, of: Summary) -> str:
    """ " (96.9 % of the decoder)" where not all components were pruned."""
    row = next(r for r in one.rows if (r["arm"], r["round"]) == (one.arm, of.round))
    shares = {
        name.removeprefix("sparsity_"): row[name]
        for name in row
        if name.startswith("sparsity_")
    }
    pruned = [f"{percent(x)} of the {name}" for name, x in shares.items() if x]
    return f" ({', '.join(pruned)})" if len(pruned) < len(shares) else ""


def like_the_own_ticket(evidence: Sequence[Evidence], metric: str) -> Judgement:
    """Transferred, own and random tickets: near to the own one, better than random?"""
    transferred, own, random = (one.last(metric) for one in evidence)
    if not _enough(transferred, own, random):
        return Judgement(NOT_TRIED, "it needs 3 runs of each arm")
    names = [one.label for one in evidence]
    to_own = compare(metric, own, transferred, (names[1], names[0]))
    to_random = compare(metric, transferred, random, (names[0], names[2]))
    at = f"{percent(transferred.sparsity)} sparsity"
    at += _pruned(evidence[0], transferred)
    return _judged(
        not to_own.worse and to_random.worse,
        f"at {at} {to_own.sentence}; {to_random.sentence}",
    )


# --- early-bird tickets: the first evidence is dense, the others are compressed -----


def saving(dense: Evidence, small: Evidence, column: str) -> float:
    """Share of a cost of the dense training that a compressed one saves."""
    return 1 - small.mean(column) / dense.mean(column)


def _cost(one: Evidence) -> str:
    """The column of what a training costs without sparse kernels."""
    return "flops_compact" if one.arm == "early_bird" else "flops_dense"


def flops_saving(dense: Evidence, small: Evidence) -> float:
    """Share of the dense training's FLOPs that a compressed one saves."""
    return 1 - small.mean(_cost(small)) / dense.mean("flops_dense")


def compressed(evidence: Sequence[Evidence]) -> list[Evidence]:
    """All but the first, of which they are compressed: what was cut of each."""
    return [small for one in evidence[1:] if (small := one.cut()).rows]


def _at_saving(evidence: Sequence[Evidence], published: float) -> Evidence | None:
    """The compressed one whose saving is next to the paper's; None: none is near."""

    def far(one):
        return abs(flops_saving(evidence[0], one) - published)

    nearest = min(compressed(evidence), key=far, default=None)
    return nearest if nearest and far(nearest) <= 0.06 else None


def _none_near(evidence, published: float) -> Judgement:
    savings = [flops_saving(evidence[0], one) for one in compressed(evidence)]
    told = f"no training saves about {percent(published)} of the FLOPs"
    if savings:
        told += f"; the most is {percent(max(savings))}"
    return Judgement(NOT_TRIED, told)


def as_good_with_less(published: float):
    """A test: does the ticket that saves such a share of FLOPs match the dense one?"""

    def test(evidence: Sequence[Evidence], metric: str) -> Judgement:
        small = _at_saving(evidence, published)
        if small is None:
            return _none_near(evidence, published)
        dense, found = evidence[0].last(metric), small.last(metric)
        if not _enough(dense, found) or not dense.values:
            return Judgement(NOT_TRIED, "it needs 3 runs of both")
        saved = percent(flops_saving(evidence[0], small))
        told = f"{metric} {mean_std(found)}, dense {mean_std(dense)}"
        matches = verdict.matches(dense, found, columns.find(metric).sign)
        return _judged(matches, f"with {saved} fewer FLOPs {told}")

    return test


def time_saved(flops: float, published: float):
    """A test: does the ticket that saves such a share of FLOPs save as much time?"""

    def test(evidence: Sequence[Evidence], metric: str) -> Judgement:
        del metric
        small = _at_saving(evidence, flops)
        if small is None:
            return _none_near(evidence, flops)
        saved = saving(evidence[0], small, "seconds")
        of_flops = percent(flops_saving(evidence[0], small))
        found = f"{of_flops} fewer FLOPs are {percent(saved)} less time"
        return _judged(saved >= published, found)

    return test


def found_by_epoch(last: int):
    """A test: are all tickets found within so many epochs?"""

    def test(evidence: Sequence[Evidence], metric: str) -> Judgement:
        del metric
        epochs = [row["found_epoch"] for one in evidence[1:] for row in one.rows]
        found = [epoch for epoch in epochs if math.isfinite(epoch)]
        told = f"found in {len(found)} of {len(epochs)} searches"
        if found:
            told += f", at epochs {min(found)} to {max(found)}"
        return _judged(len(found) == len(epochs) and max(found) <= last, told)

    return test


# --- Table 2 ------------------------------------------------------------------------


def _without_ticket(evidence: Sequence[Evidence]) -> Judgement | None:
    """What is to be said where early-bird runs have found nothing to compare."""
    for one in evidence:
        if whole := one.whole():
            runs = len({row["run"] for row in one.rows})
            told = f"{one.label}: no ticket in {whole} of {runs} runs"
            return Judgement(NOT_TRIED, f"{told}, which stay whole")
    return None


def matches_the_first(evidence: Sequence[Evidence], metric: str) -> Judgement:
    """Is the second within one standard deviation of the first, or better?"""
    if lacking := _without_ticket(evidence):
        return lacking
    first, second = (one.last(metric) for one in evidence)
    if not _enough(first, second) or not first.values:
        return Judgement(NOT_TRIED, "it needs 3 runs of both")
    names = [one.label for one in evidence]
    told = f"{metric} {mean_std(second)} ({names[1]}), {mean_std(first)} ({names[0]})"
    return _judged(verdict.matches(first, second, columns.find(metric).sign), told)


def all_worse_than_the_first(evidence: Sequence[Evidence], metric: str) -> Judgement:
    """Are all others significantly worse than the first?"""
    if lacking := _without_ticket(evidence):
        return lacking
    first, *others = (one.last(metric) for one in evidence)
    if not _enough(first, *others):
        return Judgement(NOT_TRIED, "it needs 3 runs of each")
    names = [one.label for one in evidence]
    found = [
        compare(metric, first, other, (names[0], name))
        for other, name in zip(others, names[1:], strict=True)
    ]
    return _judged(all(x.worse for x in found), "; ".join(x.sentence for x in found))
