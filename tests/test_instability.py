"""Instability from losses on lines, where the answer is known."""

import numpy as np
import pytest

from gen_tickets.evaluation import instability


def rows_of(step, losses, run=0):
    points = np.linspace(0, 1, len(losses))
    line = {"run": run, "step": step, "copy_a": 1, "copy_b": 2}
    return [{**line, "point": p, "loss": x} for p, x in zip(points, losses)]


def test_barrier_of_straight_line_is_half_its_rise():
    height, ends = instability.barrier([1.0, 2.0, 3.0])
    assert (height, ends) == (1.0, 2.0)


def test_by_step_unordered_rows_give_mean_and_deviation():
    rows = rows_of(5, [1.0, 3.0, 1.0]) + rows_of(5, [1.0, 2.0, 1.0], run=1)
    rows += rows_of(0, [2.0, 2.0, 2.0])
    first, second = instability.by_step(reversed(rows), "loss")
    assert (first.step, first.mean, first.std, first.num_lines) == (0, 0.0, 0.0, 1)
    assert second.mean == pytest.approx(1.5) and second.ends == 1.0
    assert second.std == pytest.approx(np.std([2.0, 1.0], ddof=1))


@pytest.mark.parametrize(
    "losses, expected",
    [
        ([-1.0, 4.0, -1.0], 5.0),  # a critic's loss: a barrier, although below 0
        ([-2.0, -2.0, -2.0], 0.0),
        ([-1.0, 2.0, 1.0], np.inf),
        ([0.0, 0.0, 0.0], 0.0),
    ],
)
def test_by_step_ends_not_above_zero_give_barrier_of_its_own_sign(losses, expected):
    [found] = instability.by_step(rows_of(5, losses), "loss")
    assert found.mean == expected
    stable = instability.first_stable_step([found], 0.03)
    assert stable == (5 if expected == 0 else None)


@pytest.mark.parametrize(
    "means, expected",
    [
        ([0.5, 0.1, 0.01, 0.0], 20),
        ([0.01, 0.5, 0.01, 0.01], 20),  # stable by chance before
        ([0.0, 0.0, 0.0, 0.0], 0),
        ([0.0, 0.0, 0.0, np.nan], None),
    ],
)
def test_first_stable_step_ignores_steps_stable_by_chance(means, expected):
    found = [
        instability.Instability(10 * i, mean, 0.0, 1.0, 1)
        for i, mean in enumerate(means)
    ]
    assert instability.first_stable_step(found, 0.03) == expected
