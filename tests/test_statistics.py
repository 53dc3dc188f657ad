"""Means, deviations and counts of results tables."""

import math

import pytest
from result_rows import METRIC, table

from gen_tickets.report import statistics


def test_summarize_with_diverged_runs_counts_every_run():
    rows = table([(1.0, 3.0, None)], [])
    rows[0]["early_stop_step"] = math.nan  # it never stopped early: not a divergence
    summary = statistics.summarize(rows, METRIC)["winning"][1]
    assert (summary.mean, summary.num_runs, summary.num_diverged) == (2.0, 3, 1)
    assert summary.std == pytest.approx(math.sqrt(2.0))
    stops = statistics.summarize(rows, "early_stop_step")["dense"][0]
    assert (stops.num_runs, stops.num_diverged) == (2, 0)
    assert statistics.of_role(rows, "metric") == [METRIC]
    assert statistics.of_role(rows, "progress") == ["early_stop_step"]


def test_summarize_diverged_run_in_round_without_the_metric_is_not_counted():
    rows = table([(1.0, 3.0, 2.0)] * 3, [])
    for row in rows:
        if row["round"] == 2:  # as with eval.every_rounds=2
            del row[METRIC]
            row["diverged"] = row["run"] == 0
    assert list(statistics.summarize(rows, METRIC)["winning"]) == [1, 3]


@pytest.mark.parametrize(
    "values, text",
    [
        ((0.02, 0.0209), "0.02045 ± 0.00064"),
        ((30.0, 32.0), "31.0 ± 1.4"),
        ((1.0, 1.0), "1 ± 0"),
        ((1.5,), "1.5"),
        ((), "all diverged"),
    ],
)
def test_mean_std_is_rounded_to_its_deviation(values, text):
    summary = statistics.Summary(1, 0.2, 0.8, *statistics.moments(values), values, 0)
    assert statistics.mean_std(summary) == text


def test_layer_sparsity_of_runs_is_their_mean():
    rows = [
        {"round": 1, "run": run, "layer": layer, "total": 10, "kept": kept}
        for layer, of_runs in {"b": (10, 10), "a": (4, 7)}.items()
        for run, kept in enumerate(of_runs)
    ]
    found = statistics.layer_sparsity(rows)
    assert list(found) == ["b", "a"]
    assert found == {"b": {1: 0.0}, "a": {1: pytest.approx(0.45)}}
