"""Gates on tables and curves with a known answer."""

import numpy as np
import pytest
from result_rows import BAD, METRIC, table

from gen_tickets.report import comparison, gates, verdict
from gen_tickets.workdir import baselines

STEADY = (1.98, 2.0, 2.02)  # mean 2, standard deviation 0.02


def judge(curve=(), dense=STEADY, winning=STEADY, random=BAD, **of_metric):
    """{name: gate} and the verdict; the curve is {step: value} of every run."""
    rows = table([winning], [random], dense)
    curves = [
        {"round": 0, "run": run, "arm": "dense", "step": step, METRIC: value}
        for step, value in dict(curve).items()
        for run in range(3)
    ]
    known = {METRIC: of_metric} if of_metric else {}
    judged = verdict.verdict(rows, METRIC, curves, known)
    return {gate.name: gate for gate in judged.gates}, judged


@pytest.mark.parametrize(
    "curve, passed",
    [
        ({10: 5.0, 90: 2.03, 100: 2.0}, False),  # 0.03 better, deviation 0.02
        ({10: 5.0, 90: 2.015, 100: 2.0}, True),
        ({10: 5.0, 90: 2.03, 95: 1.9, 100: 2.0}, True),  # the last is not the best
        ({10: 5.0, 50: 2.0, 100: 3.0}, True),  # worse again
        ({95: 2.0, 100: 2.0}, None),  # nothing before the last tenth
        ({}, None),
    ],
)
def test_converged_compares_last_tenth_with_one_deviation(curve, passed):
    assert judge(curve)[0]["converged"].passed is passed


def test_converged_metric_without_curve_uses_last_value_of_table():
    rows = table([STEADY], [BAD], (1.9, 2.0, 2.1), "fd_classifier")
    curves = [
        {"round": 0, "run": run, "arm": "dense", "step": step, **more}
        for step, more in ((90, {"fd_classifier": 2.5}), (100, {}))
        for run in range(3)
    ]
    gate = verdict.verdict(rows, "fd_classifier", curves).gates[0]
    assert gate.passed is False and "improved by 0.5 from step 90" in gate.sentence


def test_gates_of_one_run_say_that_it_takes_two():
    rows = [row for row in table([STEADY], [BAD]) if row["run"] == 0]
    curve = [
        {"round": 0, "run": 0, "arm": "dense", "step": step, METRIC: 2.0}
        for step in (90, 100)
    ]
    converged, repeatable, *_ = verdict.verdict(rows, METRIC, curve).gates
    assert converged.sentence == "convergence unknown: it takes two runs"
    assert repeatable.sentence == "repeatability unknown: it takes two runs"


def test_converged_higher_is_better_metric_uses_its_direction():
    better = table([(0.9,) * 3], [(0.1,) * 3], (0.88, 0.9, 0.92), "accuracy")
    curve = [
        {"round": 0, "run": 0, "arm": "dense", "step": step, "accuracy": value}
        for step, value in ((50, 0.8), (100, 0.9))
    ]
    gate = verdict.verdict(better, "accuracy", curve).gates[0]
    assert gate.passed is False and "improved by 0.1 from step 50" in gate.sentence


@pytest.mark.parametrize(
    "dense, passed", [((1.801, 2.0, 2.199), True), ((1.799, 2.0, 2.201), False)]
)
def test_repeatable_limit_is_ten_percent_of_the_mean(dense, passed):
    assert judge(dense=dense)[0]["repeatable"].passed is passed


@pytest.mark.parametrize(
    "trivial, passed", [(2.5, True), (2.0, False), (1.5, False), (None, None)]
)
def test_learned_requires_better_than_every_baseline(trivial, passed):
    known = {baselines.REAL: 0.1, baselines.NOISE: 9.0, baselines.MEAN: trivial}
    known = known if trivial else {baselines.REAL: 0.1}
    gate = judge(**known)[0]["learned"]
    assert gate.passed is passed
    if passed:
        assert "held-out images 0.1; noise images 9" in gate.sentence


def test_smallest_difference_has_welch_p_of_five_percent():
    rows = table([(1.0, 1.3, 1.1)], [(2.0, 2.9, 2.2, 2.5)])
    (of_round,) = verdict.verdict(rows, METRIC).rounds
    smallest = gates.smallest_difference(of_round.winning, of_round.random)
    winning, random = of_round.winning.values, np.asarray(of_round.random.values)
    shifted = random - random.mean() + np.mean(winning) + smallest
    assert comparison.welch_p(winning, shifted) == pytest.approx(0.05, rel=1e-9)


@pytest.mark.parametrize(
    "random, passed",
    [
        (BAD, True),  # a difference was found
        ((1.97, 2.0, 2.03), True),  # none was, but a tenth would have been
        ((1.0, 2.0, 3.0), False),
        ((None, None, 2.0), None),
    ],
)
def test_power_states_smallest_detectable_difference(random, passed):
    gates_of, judged = judge(random=random)
    assert gates_of["power"].passed is passed
    said = judged.sentence.endswith(gates_of["power"].in_words)
    assert said is (random is not BAD and passed is not None)


def test_verdict_failed_gates_come_first_and_numbers_stay():
    _, sound = judge({10: 5.0, 90: 2.0, 100: 2.0})
    _, judged = judge({50: 3.0, 100: 2.0}, **{baselines.MEAN: 1.5})
    assert sound.sentence == sound.finding == judged.finding
    failed = "Not converged; nothing learned. With these reservations: "
    assert judged.sentence == f"{failed}{judged.finding}"
    assert judged.sparsity == sound.sparsity == pytest.approx(0.2)


def test_verdict_without_tickets_has_gates_of_dense():
    judged = verdict.verdict(table([], [], (1.0, 2.0, 3.0)), METRIC)
    passed = {gate.name: gate.passed for gate in judged.gates}
    assert passed["repeatable"] is False and passed["power"] is None
    assert judged.sentence.startswith("No verdict: no winning ticket is trained")
