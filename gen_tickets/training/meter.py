"""Speed of a training, and its progress line."""

import numpy as np

from gen_tickets.training.progress import Progress, duration

_STRETCH_SECONDS = 1.0


class Meter:
    """Seconds per step and per evaluation; how long the next stretch may be.

    The first stretch and the first evaluation, which may compile, are left out.
    """

    def __init__(self, title: str, num_steps: int, interval: int, later_steps: float):
        """Starts without measurements.

        Args:
          title: what is trained, such as "round 3/20".
          num_steps: the last step of the training.
          interval: steps between two evaluations.
          later_steps: steps of the experiment after this training, each assumed to
            take as long as a step of this one.
        """
        self._title, self._num_steps = title, num_steps
        self._interval, self._later_steps = interval, later_steps
        self._progress = Progress()
        self._seconds_per_step: float | None = None
        self._evaluations: list[float] = []
        self._num_stretches = 0
        self.stretch_steps = 8

    def note(self, num_steps: int, seconds: float) -> None:
        """Records one stretch and sets how long the next may be."""
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

    def _seconds_left(self, step: int) -> float:
        steps = self._num_steps - step + self._later_steps
        evaluation_seconds = min(self._evaluations[1:], default=0.0)
        evaluations = steps / self._interval
        return steps * (self._seconds_per_step or 0.0) + (
            evaluations * evaluation_seconds
        )

    def show(self, step: int, arms: tuple[str, ...], best_loss: np.ndarray) -> None:
        """Shows step, held-out loss of each arm, speed and time left.

        Args:
          step: of the training.
          arms: their names.
          best_loss: lowest held-out loss of the members, [M].
        """
        losses = [
            f"{arm} {np.mean(x):.5g}"
            for arm, x in zip(arms, best_loss.reshape(len(arms), -1))
            if np.isfinite(x).all()  # evaluated, and not diverged
        ]
        line = f"{self._title}  step {step}/{self._num_steps}"
        if losses:
            line += "  best held-out loss: " + ", ".join(losses)
        if self._seconds_per_step:
            line += f"  {1 / self._seconds_per_step:.3g} steps/s  "
            line += f"{duration(self._seconds_left(step))} left"
        self._progress.show(line)
