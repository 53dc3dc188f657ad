"""Trains one round to its end: stretch by stretch, evaluated, saved, interruptible.

The length of a stretch follows the clock, so that progress, signals and checkpoints
come in time; what is computed does not depend on where the stretches are cut.
"""

import contextlib
import signal
import time

import jax
import jax.numpy as jnp
import numpy as np

from gen_tickets.distributed import processes
from gen_tickets.errors import Interrupted
from gen_tickets.training import session as session_lib
from gen_tickets.training.progress import Progress, duration
from gen_tickets.training.session import Position, Session

_STRETCH_SECONDS = 1.0


@contextlib.contextmanager
def stop_signals():
    """Collects SIGTERM and SIGINT in a list instead of dying; a second one kills."""
    received: list[int] = []
    numbers = (signal.SIGTERM, signal.SIGINT)

    def note(number, frame):
        received.append(number)
        signal.signal(number, before[number])

    before = {number: signal.signal(number, note) for number in numbers}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def save(lottery, store, session: Session, position: Position) -> None:
    """Saves a session under a number that grows with its position."""
    rounds = position.run * (lottery.config.prune.rounds + 1) + position.round
    number = rounds * (lottery.num_steps + 2) + position.step
    store.save(number + position.finished, session, list(position))


def _is_evaluated(lottery, step: int) -> bool:
    return step % lottery.evaluation_steps == 0 or step == lottery.num_steps


class _Meter:
    """Speed, and the line that tells it.

    The first stretch and the first evaluation, which may compile, are left out.
    """

    def __init__(self, lottery, position: Position):
        self._lottery = lottery
        self._progress = Progress()
        self._seconds_per_step = None
        self._evaluations: list[float] = []
        self._num_stretches = 0
        self._later = lottery.later_steps(position)
        self.stretch_steps = 8

    def note(self, num_steps: int, seconds: float) -> None:
        """Takes in one stretch, and sets how long the next may be."""
        self._num_stretches += 1
        if self._num_stretches == 1:
            return
        latest = seconds / num_steps
        old = self._seconds_per_step
        self._seconds_per_step = latest if old is None else 0.7 * old + 0.3 * latest
        steps = int(_STRETCH_SECONDS / self._seconds_per_step)
        self.stretch_steps = max(steps, 1)

    def note_evaluation(self, seconds: float) -> None:
        """Takes in one evaluation."""
        self._evaluations.append(seconds)

    def _seconds_left(self, step: int) -> float:
        steps = self._lottery.num_steps - step + self._later
        evaluation_seconds = min(self._evaluations[1:], default=0.0)
        evaluations = steps / self._lottery.evaluation_steps
        return steps * self._seconds_per_step + evaluations * evaluation_seconds

    def show(self, position: Position, session: Session) -> None:
        """Shows round, step, held-out loss of each arm, speed and time left."""
        lottery = self._lottery
        best = processes.to_host(session.best_loss).reshape(-1, lottery.config.runs)
        arms = lottery.arms(position.round)
        losses = [
            f"{arm} {np.mean(x):.5g}"
            for arm, x in zip(arms, best)
            if np.isfinite(x).all()  # evaluated, and not diverged
        ]
        line = f"{lottery.title(position)}  step {position.step}/{lottery.num_steps}"
        if losses:
            line += "  best held-out loss: " + ", ".join(losses)
        if self._seconds_per_step:
            line += f"  {1 / self._seconds_per_step:.3g} steps/s  "
            line += f"{duration(self._seconds_left(position.step))} left"
        self._progress.show(line)


@jax.jit
def _note_held_out(session: Session, held_out_loss) -> Session:
    """Early stopping and divergence after an evaluation; totals start again at 0."""
    step = session.state.step
    better = held_out_loss < session.best_loss
    finite = jnp.isfinite(session.totals["loss"]) & jnp.isfinite(held_out_loss)
    return session._replace(
        best_loss=jnp.where(better, held_out_loss, session.best_loss),
        best_step=jnp.where(better, step, session.best_step),
        diverged=session.diverged | ~finite,
        totals=jax.tree.map(jnp.zeros_like, session.totals),
    )


def _agree(stretch_steps: int, due: bool, signal_number: int):
    """What process 0 says of time, for all; a signal of any is a signal for all."""
    of_all = processes.gather([stretch_steps, due, signal_number])
    return int(of_all[0, 0]), bool(of_all[0, 1]), int(of_all[:, 2].max())


def train_round(lottery, session: Session, position: Position, store, stop, events):
    """Trains to the last step of the round.

    Args:
      lottery: the experiment.
      session, position: where to go on; the session's buffers are donated.
      store: Checkpoints.
      stop: list that a signal fills.
      events: events.EventWriter.

    Returns:
      (session, position) at the last step.

    Raises:
      Interrupted: `stop` is filled; everything is in `store`.
    """
    round_number = position.round
    keys, feed = lottery.train_keys(round_number), lottery.open_feed(position)
    loop = lottery.loop(len(keys))
    meter, saved_at = _Meter(lottery, position), time.monotonic()
    while not lottery.is_over(session, position):
        started = time.monotonic()
        target = lottery.next_look(position)
        num_steps = min(target - position.step, meter.stretch_steps, feed.max_steps)
        state, totals = loop.stretch(
            *(session.state, session.totals, session.masks),
            *(*feed.take(num_steps), keys, num_steps),
        )
        session = session._replace(state=state, totals=totals)
        position = position._replace(step=position.step + num_steps)
        if round_number == 0 and position.step == lottery.config.rewind.step:
            kept = {"params": state.params, "stats": state.stats}
            session = session._replace(rewind=session_lib.copy(kept))
        jax.block_until_ready(session)
        trained = time.monotonic()
        meter.note(num_steps, trained - started)
        if position.step == target and _is_evaluated(lottery, position.step):
            session = _evaluate(lottery, session, position, events)
            jax.block_until_ready(session)
            meter.note_evaluation(time.monotonic() - trained)
        seconds = position.seconds + time.monotonic() - started
        position = position._replace(seconds=seconds, feed=feed.state())
        meter.show(position, session)
        due = time.monotonic() - saved_at > lottery.config.checkpoint.every_seconds
        meter.stretch_steps, due, signal_number = _agree(
            meter.stretch_steps, due, stop[0] if stop else 0
        )
        if due or signal_number:
            save(lottery, store, session, position)
            saved_at = time.monotonic()
        if signal_number:
            raise Interrupted(signal_number)
    return session, position


def _evaluate(lottery, session: Session, position: Position, events) -> Session:
    """Held-out loss of every member: early stopping, divergence, event file."""
    keys = lottery.evaluation_keys(position.round)
    loop = lottery.loop(len(keys))
    measured = loop.evaluate(session.state, *lottery.held_out, keys)
    runs, on_host = lottery.config.runs, processes.to_host(measured)
    for i, arm in enumerate(lottery.arms(position.round)):
        members = slice(i * runs, (i + 1) * runs)
        tag = f"{lottery.tag(position)}/{arm}"
        events.write(
            position.step,
            {f"{tag}/{k}": float(x[members].mean()) for k, x in on_host.items()},
        )
    return _note_held_out(session, measured["loss"])
