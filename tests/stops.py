"""SIGTERM at a chosen place of a training."""

import contextlib
import signal

import pytest

from gen_tickets.training import driver
from gen_tickets.training.meter import Meter


@contextlib.contextmanager
def stopped_at(run, round_number, step):
    """Sends SIGTERM at this place; all stretches are of one step."""
    tags = (round_number,)  # the tag itself
    if isinstance(round_number, int):
        tags = (f"run_{run}/round_{round_number:02d}", f"round_{round_number:02d}")

    class OneStep(Meter):
        """Stretches of one step, and a signal after the wanted one."""

        is_there = False

        def note(self, num_steps, seconds):
            self.stretch_steps = 1

        def show(self, at, arms, best_loss):
            if self.is_there and at == step:
                signal.raise_signal(signal.SIGTERM)
            super().show(at, arms, best_loss)

    def make_meter(training):
        schedule = training.schedule
        meter = OneStep(training.title, schedule.num_steps, 1, 0.0)
        meter.stretch_steps = 1
        meter.is_there = training.tag in tags
        return meter

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(driver, "_meter", make_meter)
        yield
