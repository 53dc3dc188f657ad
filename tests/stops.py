"""A signal in the middle of a training, where a test wants it."""

import contextlib
import signal

import pytest

from gen_tickets.training import driver


@contextlib.contextmanager
def stopped_at(run, round_number, step):
    """SIGTERM when the training stands there; all stretches are of one step."""
    show, start = driver._Meter.show, driver._Meter.__init__

    def stop_there(self, position, session):
        if (position.run, position.round, position.step) == (run, round_number, step):
            signal.raise_signal(signal.SIGTERM)
        show(self, position, session)

    def start_short(self, *args):
        start(self, *args)
        self.stretch_steps = 1

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(driver._Meter, "__init__", start_short)
        patch.setattr(driver._Meter, "note", lambda self, num_steps, seconds: None)
        patch.setattr(driver._Meter, "show", stop_there)
        yield
