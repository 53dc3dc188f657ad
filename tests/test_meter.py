"""The estimate of the time left on the progress line."""

import pytest

from gen_tickets.training.meter import Meter


@pytest.fixture
def meter():
    return Meter("round 0/1", num_steps=100, interval=10, later_steps=200)


def test_seconds_left_counts_remaining_steps_and_evaluations(meter):
    for seconds in (30.0, 2.0, 2.0):  # the first compiles
        meter.note(4, seconds)
    assert meter._seconds_left(40) == pytest.approx(260 * 0.5)
    meter.note_evaluation(9.0)  # the first compiles
    assert meter._seconds_left(40) == pytest.approx(260 * 0.5)
    for seconds in (3.1, 3.0):
        meter.note_evaluation(seconds)
    assert meter._seconds_left(40) == pytest.approx(260 * 0.5 + 26 * 3.0)


def test_stretch_steps_before_a_measurement_is_one(meter):
    """A signal waits for the end of a stretch, whatever a step takes."""
    for seconds in (300.0, 90.0, 90.0):
        assert meter.stretch_steps == 1
        meter.note(1, seconds)
    assert meter.stretch_steps == 1


def test_stretch_steps_unchanged_by_slow_evaluation(meter):
    for _ in range(3):
        meter.note(4, 0.4)
    before = meter.stretch_steps
    meter.note_evaluation(60.0)
    assert meter.stretch_steps == before == 10
