"""Training speed, and the progress bar that shows it."""

import contextlib

import numpy as np

from gen_tickets.console import display

_STRETCH_SECONDS = 1.0


class Meter:
    """Measures seconds per step and evaluation, and sets the next stretch's length.

    Ignores the first stretch and the first evaluation, which may compile. As a context
    manager it shows the progress bar.
    """

    def __init__(self, title: str, num_steps: int, interval: int, later_steps: float):
        """Starts without measurements.

        Args:
          title: title of the bar, such as "round 3/20".
          num_steps: the last step of the schedule.
          interval: steps between two evaluations.
          later_steps: steps of the experiment after `num_steps`, each assumed to take
            as long as a step of this training.
        """
        self._title, self._num_steps = title, num_steps
        self._interval, self._later_steps = interval, later_steps
        self._bars = contextlib.ExitStack()
        self._bar: display.Bar | None = None
        self._seconds_per_step: float | None = None
        self._evaluations: list[float] = []
        self._num_stretches = 0
        self.stretch_steps = 1  # a step may take minutes, and a signal waits for it

    def __enter__(self) -> "Meter":
        self._bar = self._bars.enter_context(display.bar(self._title, self._num_steps))
        self._bar.update(details=("compiling",))
        return self

    def __exit__(self, *error: object) -> None:
        self._bars.close()

    def note(self, num_steps: int, seconds: float) -> None:
        """Records one stretch and sets the length of the next."""
        self._num_stretches += 1
        if self._num_stretches == 1:
            return
        latest = seconds / num_steps
        old = self._seconds_per_step
        self._seconds_per_step = latest if old is None else 0.7 * old + 0.3 * latest
        self.stretch_steps = max(int(_STRETCH_SECONDS / self._seconds_per_step), 1)

    def note_evaluation(self, seconds: float) -> None:
        """Records one evaluation."""
        self._evaluations.append(seconds)

    def _seconds_left(self, step: int) -> float | None:
        """Seconds left for the whole experiment; None before any measurement."""
        if self._seconds_per_step is None:
            return None
        steps = self._num_steps - step + self._later_steps
        evaluation_seconds = min(self._evaluations[1:], default=0.0)
        evaluations = steps / self._interval
        return steps * self._seconds_per_step + evaluations * evaluation_seconds

    def show(self, step: int, arms: tuple[str, ...], best_loss: np.ndarray) -> None:
        """Shows step, time left, lowest held-out loss of each arm and speed.

        Args:
          step: of the training.
          arms: their names.
          best_loss: lowest held-out loss of the members, [M].
        """
        if self._bar is None:
            return
        losses = [
            f"{arm} {np.mean(x):.4g}"
            for arm, x in zip(arms, best_loss.reshape(len(arms), -1))
            if np.isfinite(x).all()  # evaluated, and not diverged
        ]
        details = [f"lowest loss {', '.join(losses)}"] if losses else []
        if self._seconds_per_step:
            details.append(f"{1 / self._seconds_per_step:.3g} steps/s")
        self._bar.update(
            done=step, seconds_left=self._seconds_left(step), details=tuple(details)
        )
