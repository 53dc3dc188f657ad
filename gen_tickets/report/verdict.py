"""Verdict of a results table: was a winning ticket found, and at which sparsity?

A winning ticket is *found* at a sparsity if the winning arm does as well as the dense
network and the random control does significantly worse, by the rules of
`report.comparison`. At least three dense runs must not have diverged.

Four gates check whether the training supports a verdict, see `report.gates`. Failed
gates are stated before the verdict and do not change its numbers.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from gen_tickets.report import gates as gates_lib
from gen_tickets.report import notes as notes_lib
from gen_tickets.report import sparse_training, statistics
from gen_tickets.report.comparison import (
    MIN_RUNS,
    Round,
    Rounds,
    by_sparsity,
    judge_round,
    matches,
)
from gen_tickets.report.gates import Gate
from gen_tickets.report.statistics import Rows, Summaries, Summary, mean_std, percent
from gen_tickets.workdir import columns


class Verdict(NamedTuple):
    """The largest sparsity with a winning ticket (None: none), as text with reasons."""

    metric: str
    sparsity: float | None
    unbroken: float | None  #: the winning arm matches in every round up to here
    finding: str  #: as text, regardless of the gates
    notes: tuple[str, ...]
    dense: Summary | None
    rounds: Rounds
    gates: tuple[Gate, ...] = ()  #: empty if nothing is measured yet

    @property
    def sentence(self) -> str:
        """The finding, after the names of the gates that the training fails."""
        failed = [x.sentence.partition(":")[0] for x in gates_lib.failed(self.gates)]
        if not failed or self.finding.startswith("No verdict"):
            return self.finding
        reservations = "this reservation" if len(failed) == 1 else "these reservations"
        names = "; ".join(failed).capitalize()
        return f"{names}. With {reservations}: {self.finding}"


def verdict(
    rows: Rows, metric: str, curves: Rows = (), baselines: Mapping[str, Any] = {}
) -> Verdict:
    """Judges a results table by one of its columns.

    Never raises on an unfinished table: the sentence then says what is missing for a
    verdict.

    Args:
      rows: of results.csv; round 0 is dense.
      metric: column compared, such as "heldout_reconstruction".
      curves: of curves.csv.
      baselines: {column: {baseline: value}}, see `workdir.baselines`.
    """
    arms = statistics.summarize(rows, metric)
    searched = [row for row in rows if row["arm"] == "early_bird"]
    methods = sparse_training.methods(arms)
    if searched:
        judged = _of_searches(searched, metric, arms)
    elif methods:
        judged = _of_methods(rows, metric, arms, methods)
    else:
        judged = _of_rounds(rows, metric, arms)
    arm = "early_bird" if searched else "dense"
    trained = next(iter(arms.get(arm, {}).values()), None)
    if trained is None or columns.find(metric).sign == 0:
        return judged
    gates = gates_lib.of_training(metric, trained, arm, curves, baselines)
    if searched or methods:
        return judged._replace(gates=gates)
    power = _power(trained, judged.rounds)
    if judged.rounds and judged.sparsity is None and power.passed is not None:
        judged = judged._replace(finding=f"{judged.finding} {power.in_words}")
    return judged._replace(gates=(*gates, power))


def _power(dense: Summary, rounds: Rounds) -> Gate:
    """The power gate of the sparsest round found, else matched, else the last one."""
    compared = [x for x in rounds if x.random is not None]
    matched = [x for x in compared if x.matches]
    found = [x for x in matched if x.found]
    one = max(found or matched or compared[-1:], key=by_sparsity, default=None)
    if one is None:
        return gates_lib.power(dense, None, None, False)
    return gates_lib.power(dense, one.winning, one.random, one.worse)


def _of_rounds(rows: Rows, metric: str, arms: Summaries) -> Verdict:
    """The verdict on winning tickets, against the dense network and random control."""
    dense = arms.get("dense", {}).get(0)
    winning, random = arms.get("winning", {}), arms.get("random", {})
    notes = notes_lib.diverged(arms) + notes_lib.layer_collapse(rows)
    missing = _missing(rows, metric, dense, winning)
    if missing or dense is None:
        return Verdict(metric, None, None, f"No verdict: {missing}.", notes, dense, ())
    sign = columns.find(metric).sign
    rounds = tuple(
        judge_round(dense, winning[number], random.get(number), sign)
        for number in sorted(winning)
    )
    # The sparsest round; of two with equal sparsity (floors), the later one.
    best = max((r for r in rounds if r.found), key=by_sparsity, default=None)
    unbroken = None
    for judged in rounds:
        if not judged.matches:
            break
        unbroken = judged.sparsity
    sentence = _sentence(metric, dense, rounds, best, unbroken)
    sparsity = None if best is None else best.sparsity
    notes += notes_lib.head_start(rounds, arms.get("rewound_random", {}), sign)
    return Verdict(metric, sparsity, unbroken, sentence, notes, dense, rounds)


def _of_searches(rows: Rows, metric: str, arms: Summaries) -> Verdict:
    """The outcome of early-bird searches; their quality needs a comparison."""
    epochs = [row["found_epoch"] for row in rows if math.isfinite(row["found_epoch"])]
    head = f"Early-bird tickets are found in {len(epochs)} of {len(rows)} runs"
    if epochs:
        first, last = min(epochs), max(epochs)
        when = f"epoch {first}" if first == last else f"epochs {first} to {last}"
        head += f", at {when}"
    sparsity = float(np.mean([row["sparsity"] for row in rows]))
    share = np.mean([row["flops_compact"] / row["flops_dense"] for row in rows])
    sentence = (
        f"{head}. On average {percent(sparsity)} of the weights are removed. Training "
        f"takes {percent(float(share))} of the dense FLOPs, including the search."
    )
    if "early_bird" in arms:
        sentence += f" {columns.find(metric).title}: {mean_std(arms['early_bird'][1])}."
    found = sparsity if len(epochs) == len(rows) else None
    return Verdict(metric, found, None, sentence, notes_lib.diverged(arms), None, ())


def _of_methods(
    rows: Rows, metric: str, arms: Summaries, methods: Summaries
) -> Verdict:
    """The verdict on dynamic sparse training, against the dense network."""
    dense, notes = arms.get("dense", {}).get(0), notes_lib.diverged(arms)
    missing = _missing(rows, metric, dense, methods)
    if missing or dense is None:
        return Verdict(metric, None, None, f"No verdict: {missing}.", notes, dense, ())
    sign = columns.find(metric).sign

    def is_match(trained: Summary) -> bool:
        return trained.num_runs >= MIN_RUNS and matches(dense, trained, sign)

    sparsity, sentence = sparse_training.judge(metric, dense, methods, is_match)
    return Verdict(metric, sparsity, None, sentence, notes, dense, ())


def _missing(rows: Rows, metric: str, dense: Summary | None, winning: dict) -> str:
    """Returns what is missing for a verdict, or an empty text."""
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
    words = f"the {columns.find(metric).wording}"
    tried = f"any of {len(rounds)} sparsities"
    if len(rounds) == 1:
        tried = f"{percent(rounds[0].sparsity)} sparsity"
    none = f"No winning ticket is found at {tried}:"
    if best is not None and best.random is not None:
        head = (
            f"Winning tickets are found up to {percent(best.sparsity)} sparsity "
            f"(round {best.round}). There {words} is {mean_std(best.winning)} over "
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
            f"{none} by {words} the winning arm never does as well as dense "
            f"({mean_std(dense)})."
        )
    elif not any(judged.worse for judged in rounds):
        head = f"{none} by {words} the random control is never significantly worse."
    else:
        head = (
            f"{none} where {words} of the winning arm matches dense, random is not "
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
