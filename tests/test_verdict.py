"""Verdicts on tables with a known answer; Welch's test against an integral."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from result_rows import BAD, DENSE, GOOD, METRIC, table
from scipy import stats

from gen_tickets.report import comparison, statistics, verdict


def test_verdict_on_planted_tickets_names_the_largest_sparsity():
    winning = [GOOD] * 10 + [BAD] * 3
    judged = verdict.verdict(table(winning, [BAD] * 13), METRIC)
    assert judged.sparsity == pytest.approx(1 - 0.8**10)  # 89.3 %
    assert judged.unbroken == judged.sparsity
    assert [r.found for r in judged.rounds] == [True] * 10 + [False] * 3
    assert "89.3 %" in judged.sentence and "round 10" in judged.sentence
    assert judged.notes == ()


def test_verdict_with_a_gap_names_the_unbroken_sparsity():
    winning = [GOOD, BAD, GOOD]
    judged = verdict.verdict(table(winning, [BAD] * 3), METRIC)
    assert judged.sparsity == pytest.approx(1 - 0.8**3)
    assert judged.unbroken == pytest.approx(0.2)
    assert "to 20.0 %, and not at the next one" in judged.sentence


@pytest.mark.parametrize("metric, sign", [("fid", 1.0), ("accuracy", -1.0)])
@pytest.mark.parametrize("excess, is_match", [(1.0, True), (1.0 + 1e-9, False)])
def test_matches_at_the_border_is_one_dense_deviation(metric, sign, excess, is_match):
    # In the direction that is worse, dense has mean 2 and deviation exactly 1.
    dense, worse = [sign * x for x in DENSE], [sign * x for x in BAD]
    winning = [sign * (2.0 + excess + x) for x in (-0.5, 0.0, 0.5)]
    judged = verdict.verdict(table([winning], [worse], dense, metric), metric)
    assert judged.rounds[0].matches is is_match
    assert (judged.sparsity is not None) is is_match


def test_verdict_on_winning_better_than_dense_finds_it():
    judged = verdict.verdict(table([(-9.0, -9.5, -8.0)], [GOOD]), METRIC)
    assert judged.sparsity == pytest.approx(0.2)


def test_verdict_on_random_that_is_not_worse_finds_nothing():
    for random in (GOOD, (0.1, 0.11, 0.12)):
        judged = verdict.verdict(table([GOOD], [random]), METRIC)
        assert judged.sparsity is None
        assert "never significantly worse" in judged.sentence
        assert judged.unbroken == pytest.approx(0.2)


def test_verdict_on_winning_that_never_matches_finds_nothing():
    judged = verdict.verdict(table([BAD], [(90.0, 91.0, 92.0)]), METRIC)
    assert judged.sparsity is None and judged.unbroken is None
    assert "found at 20.0 % sparsity: by the held-out" in judged.sentence
    assert "never does as well as dense" in judged.sentence
    assert "already does not match" in judged.sentence


def _welch_by_hand(a, b):
    """t and degrees of freedom of Welch (1947); p from an integral of the density."""
    a, b = np.asarray(a), np.asarray(b)
    va, vb = a.var(ddof=1) / len(a), b.var(ddof=1) / len(b)
    t = abs(a.mean() - b.mean()) / math.sqrt(va + vb)
    df = (va + vb) ** 2 / (va**2 / (len(a) - 1) + vb**2 / (len(b) - 1))
    log_norm = math.lgamma((df + 1) / 2) - math.lgamma(df / 2)
    x = np.linspace(0.0, t, 200_001)
    density = np.exp(log_norm) / math.sqrt(df * math.pi)
    density = density * (1 + x**2 / df) ** (-(df + 1) / 2)
    return 1 - 2 * np.trapezoid(density, x)


@pytest.mark.parametrize(
    "a, b",
    [
        ((1.0, 2.0, 3.0), (2.5, 3.5, 9.0)),
        ((1.0, 1.1, 1.2, 0.9), (1.0, 5.0, 2.0)),
        ((0.01, 0.012, 0.011, 0.013, 0.01), (0.02, 0.03, 0.015, 0.016, 0.019)),
    ],
)
def test_welch_p_of_samples_equals_the_integral_and_scipy(a, b):
    assert comparison.welch_p(a, b) == pytest.approx(_welch_by_hand(a, b), abs=1e-8)
    expected = stats.ttest_ind(a, b, equal_var=False).pvalue
    assert comparison.welch_p(a, b) == pytest.approx(expected, rel=1e-9)


def test_welch_freedom_of_equal_and_unequal_variances():
    assert statistics.welch_freedom(np.array([2.0, 2.0]), (4, 4)) == pytest.approx(6)
    assert statistics.welch_freedom(np.array([3.0, 0.0]), (5, 9)) == pytest.approx(4)


def test_welch_p_without_variance_is_zero_or_one():
    same = (0.1, 0.1, 0.1)
    assert comparison.welch_p(same, same * 2) == 1.0
    assert comparison.welch_p(same, (0.2, 0.2, 0.2)) == 0.0
    judged = verdict.verdict(table([same], [(0.3,) * 3], dense=same), METRIC)
    assert judged.sparsity == pytest.approx(0.2)
    judged = verdict.verdict(table([same], [same], dense=same), METRIC)
    assert judged.sparsity is None and judged.rounds[0].matches


def test_verdict_on_diverged_winning_run_does_not_match():
    judged = verdict.verdict(table([(2.0, 2.0, 2.1, None)], [BAD]), METRIC)
    assert judged.sparsity is None and not judged.rounds[0].matches
    assert "1 of 4 winning" in judged.notes[0]


def test_verdict_on_diverged_random_runs_tests_the_others():
    random = (9.0, 9.5, None, None)
    judged = verdict.verdict(table([GOOD], [random]), METRIC)
    assert judged.rounds[0].p_value == pytest.approx(
        _welch_by_hand(GOOD, (9.0, 9.5)), abs=1e-8
    )
    assert judged.rounds[0].random.mean == 9.25  # of those that did not diverge
    assert "2 of 4 random" in judged.notes[0] and judged.sparsity is not None
    # One diverged run in three is no proof: the others do as well as winning.
    judged = verdict.verdict(table([GOOD], [(1.9, 2.0, None)]), METRIC)
    assert judged.sparsity is None
    # With a single run left there is no test.
    judged = verdict.verdict(table([GOOD], [(9.0, None, None)]), METRIC)
    assert judged.sparsity is None and math.isnan(judged.rounds[0].p_value)


def test_verdict_with_one_diverged_random_run_keeps_the_ticket_of_the_others():
    # As the worst value in the table, of an early round, it would have p = 0.28.
    rows = table([GOOD, (2.0,) * 3], [(400.0,) * 3, (4.0, 4.1, 4.2, None)])
    assert _welch_by_hand((2.0, 2.0, 2.0), (4.0, 4.1, 4.2, 400.0)) > 0.05
    judged = verdict.verdict(rows, METRIC)
    assert judged.sparsity == pytest.approx(1 - 0.8**2)
    assert "random 4.10 ± 0.10" in judged.sentence


@pytest.mark.parametrize(
    "control, words",
    [
        (
            BAD,
            "9.50 ± 0.50, winning 2.03 ± 0.15, which is significantly better, so the",
        ),
        ((2.0, 2.1, 2.2), "which is not significantly better, so this may be their"),
        ((1.0, 1.1, 1.2), "which is not significantly better, so this may be their"),
    ],
)
def test_verdict_with_rewound_random_says_whether_the_mask_matters(control, words):
    rows = table([GOOD, BAD], [BAD, BAD])
    of_control = [{**row, "arm": "rewound_random"} for row in table([control], [])]
    rows += [row for row in of_control if row["round"] == 1]
    judged = verdict.verdict(rows, METRIC)
    assert judged.sparsity == pytest.approx(0.2)
    assert "random mask, at 20.0 %" in judged.notes[0] and words in judged.notes[0]


def test_verdict_on_random_that_always_diverges_is_worse():
    judged = verdict.verdict(table([GOOD, BAD], [(None,) * 3] * 2), METRIC)
    assert [r.found for r in judged.rounds] == [True, False]
    assert "random all diverged" in judged.sentence


def test_verdict_on_number_that_is_not_finite_counts_it_as_diverged():
    rows = table([GOOD], [BAD])
    rows[3][METRIC] = math.nan
    judged = verdict.verdict(rows, METRIC)
    assert judged.rounds[0].winning.num_diverged == 1 and judged.sparsity is None


@pytest.mark.parametrize(
    "rows, metric, words",
    [
        (table([(2.0, 2.1)], [(9.0, 9.1)], (1.0, 2.0)), METRIC, "at least 3 runs"),
        (table([(2.0, 2.1)], [BAD]), METRIC, "at least 3 runs"),
        (table([GOOD], []), METRIC, "random control is not trained"),
        (table([], [BAD]), METRIC, "no winning ticket is trained"),
        (table([], []), METRIC, "no winning ticket is trained"),
        (table([GOOD], [BAD], (1.0, 2.0, None)), METRIC, "1 of 3 dense runs diverged"),
        (table([GOOD], [BAD]), "fid", "fid is not measured here"),
        (table([GOOD], [BAD], metric="heldout_kl"), "heldout_kl", "no better side"),
        (table([GOOD], [BAD], metric="unknown"), "unknown", "has no better side"),
    ],
)
def test_verdict_on_unfinished_table_says_what_is_missing(rows, metric, words):
    judged = verdict.verdict(rows, metric)
    assert judged.sparsity is None
    assert judged.sentence.startswith("No verdict") and words in judged.sentence


@settings(deadline=None, max_examples=30)
@given(st.data())
def test_verdict_on_any_table_follows_the_definition(data):
    runs = st.lists(st.floats(-4, 4), min_size=3, max_size=5)
    dense, winning, random = (data.draw(runs) for _ in range(3))
    judged = verdict.verdict(table([winning], [random], dense), METRIC)
    p_value = comparison.welch_p(winning, random)
    # Away from rounding at the two borders.
    gap = np.mean(winning) - np.mean(dense) - np.std(dense, ddof=1)
    if abs(gap) > 1e-9 and abs(np.mean(random) - np.mean(winning)) > 1e-9:
        expected = gap < 0 and np.mean(random) > np.mean(winning) and p_value < 0.05
        assert (judged.sparsity is not None) == expected


def test_verdict_of_emptied_layers_names_round_and_component():
    rows = table([GOOD, GOOD], [BAD, BAD])
    assert not any("collapse" in x for x in verdict.verdict(rows, METRIC).notes)
    for row in rows:
        if row["arm"] != "dense" and row["round"] == 2:
            row |= {"floored_layers": 3 + row["run"], "sparsity_encoder": 0.999}
            row["sparsity_decoder"] = 0.2
    [note] = verdict.verdict(rows, METRIC).notes
    assert "from round 2 (36.0 %) on, up to 5 layers" in note
    assert "the encoder is pruned to 99.90 %" in note
    for row in rows:
        row["floored_layers"] = min(row["floored_layers"], 1)
    [note] = verdict.verdict(rows, METRIC).notes
    assert "on, one layer keeps a single weight" in note
