"""Trains a round in stretches of steps, with evaluations and checkpoints in between.

The length of a stretch depends on the clock, so that progress, signals and checkpoints
are timely. The results do not depend on where stretches start and end.
"""

import contextlib
import dataclasses
import time
from collections.abc import Callable

import jax
import numpy as np

from gen_tickets.data.pipeline import Data, Resident, Streamed
from gen_tickets.distributed import processes
from gen_tickets.errors import Interrupted
from gen_tickets.training import compile_ahead
from gen_tickets.training import round_state as round_state_lib
from gen_tickets.training.loop import Loop
from gen_tickets.training.meter import Meter
from gen_tickets.training.population import Population
from gen_tickets.training.profiler import Profiler
from gen_tickets.training.round_state import Position, RoundState
from gen_tickets.training.schedule import Schedule
from gen_tickets.training.state import TrainState


@dataclasses.dataclass(frozen=True)
class Training:
    """One training of a population, from one step to another."""

    title: str  #: for the progress line, such as "round 3/20"
    tag: str  #: for event files, such as "round_03"
    population: Population
    schedule: Schedule
    loop: Loop  #: compiled for a population of this size
    first_step: int
    last_step: int
    later_steps: float = 0.0  #: steps of the experiment after the schedule's last
    #: dense training only: the step whose weights are kept for rewinding
    kept_step: int | None = None
    #: whether its convergence is judged: eval.metrics are measured before its end too
    is_judged: bool = False
    #: whether to end before the last step; called at multiples of `asked_every`
    is_over: Callable[[RoundState], bool] = lambda round_state: False
    asked_every: int | None = None

    def next_stop(self, step: int) -> int:
        """The next step at which a stretch has to end."""
        stops = [self.last_step, self.schedule.next_evaluation(step)]
        if self.kept_step is not None and step < self.kept_step:
            stops.append(self.kept_step)
        if self.asked_every is not None:
            stops.append((step // self.asked_every + 1) * self.asked_every)
        return min(stops)

    def steps_since_evaluation(self, step: int) -> int:
        """Steps over which the totals at an evaluated step are summed."""
        return step - max(self.first_step, self.schedule.last_evaluation(step))


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Metrics of all members at an evaluated step; every array [M]."""

    step: int
    num_steps: int  #: since the last evaluation
    totals: dict[str, np.ndarray]  #: sums of the training metrics over these steps
    heldout: dict[str, np.ndarray]  #: metrics on the held-out images
    state: TrainState  #: on the devices, [M, ...]


@dataclasses.dataclass(frozen=True)
class Hooks:
    """Callbacks of the driver."""

    save: Callable[[RoundState, Position], None]  #: writes a checkpoint
    save_seconds: float  #: maximum seconds between two checkpoints
    evaluated: Callable[[Training, Position, Evaluation], None]
    stop: list[int]  #: filled by a signal, see `console.signals`
    profiler: Profiler = dataclasses.field(default_factory=Profiler)


def train(
    training: Training,
    round_state: RoundState,
    position: Position,
    data: Data,
    hooks: Hooks,
) -> tuple[RoundState, Position]:
    """Trains to the last step, or until `training.is_over`.

    Args:
      training: the population, its schedule and its compiled loop.
      round_state, position: where to continue; the state's buffers are donated.
      data: the images.
      hooks: see `Hooks`.

    Returns:
      (round_state, position) at the last step.

    Raises:
      Interrupted: a signal arrived; everything is saved.
    """
    with contextlib.closing(hooks.profiler), _meter(training) as meter:
        # One that came while a round was measured: before the next is compiled.
        _, _, signal_number = _agree(1, False, hooks)
        if signal_number:
            hooks.save(round_state, position)
            raise Interrupted(signal_number)
        keys = training.population.evaluation_keys()
        evaluated = (round_state.state, *data.heldout, keys)
        with compile_ahead.compiling(training.loop.evaluate, *evaluated) as wait:
            return _train(training, round_state, position, data, hooks, meter, wait)


def _train(
    training: Training,
    round_state: RoundState,
    position: Position,
    data: Data,
    hooks: Hooks,
    meter: Meter,
    wait_for_evaluate: Callable[[], None],
) -> tuple[RoundState, Position]:
    population, schedule = training.population, training.schedule
    keys = population.train_keys()
    batches = data.batches(population, schedule, position.step, position.reader)
    saved_at = time.monotonic()
    while position.step < training.last_step and not training.is_over(round_state):
        target = training.next_stop(position.step)
        num_steps = min(target - position.step, meter.stretch_steps, data.stretch_steps)
        num_steps = hooks.profiler.begin(num_steps)
        started = time.monotonic()
        round_state = _stretch(training, round_state, batches, keys, num_steps)
        position = position._replace(step=position.step + num_steps)
        if position.step == training.kept_step:
            round_state = _keep_weights(round_state)
        jax.block_until_ready(round_state)
        hooks.profiler.end(num_steps)
        trained = time.monotonic()
        meter.note(num_steps, trained - started)
        evaluation = None
        if position.step == target and schedule.is_evaluated(target):
            wait_for_evaluate()
            round_state, evaluation = _evaluate(training, round_state, position, data)
            jax.block_until_ready(round_state)
            meter.note_evaluation(time.monotonic() - trained)
        seconds = position.seconds + time.monotonic() - started
        position = position._replace(seconds=seconds, reader=batches.state())
        if evaluation is not None:
            hooks.evaluated(training, position, evaluation)
        best_loss = processes.to_host(round_state.best_loss)
        meter.show(position.step, population.arms, best_loss)
        due = time.monotonic() - saved_at > hooks.save_seconds
        meter.stretch_steps, due, signal_number = _agree(
            meter.stretch_steps, due, hooks
        )
        if due or signal_number:
            hooks.save(round_state, position)
            saved_at = time.monotonic()
        if signal_number:
            raise Interrupted(signal_number)
    return round_state, position


def _meter(training: Training) -> Meter:
    schedule = training.schedule
    return Meter(
        training.title,
        schedule.num_steps,
        schedule.evaluation_interval,
        training.later_steps,
    )


def _stretch(
    training: Training,
    round_state: RoundState,
    batches: Resident | Streamed,
    keys: jax.Array,
    num_steps: int,
) -> RoundState:
    examples, order = batches.take(num_steps)
    trained = training.loop.stretch(
        round_state.state,
        round_state.totals,
        round_state.masks,
        examples,
        order,
        keys,
        num_steps,
    )
    # The masks are among them where the task changes them.
    names = ("state", "totals", "masks")
    return round_state._replace(**dict(zip(names, trained)))


def _keep_weights(round_state: RoundState) -> RoundState:
    """Late rewinding: keeps the weights and statistics of this step, k."""
    state = round_state.state
    kept = {"params": state.params, "stats": state.stats}
    return round_state._replace(rewind=round_state_lib.copy(kept))


def _evaluate(
    training: Training,
    round_state: RoundState,
    position: Position,
    data: Data,
) -> tuple[RoundState, Evaluation]:
    """Held-out metrics of every member, for early stopping, divergence and curves."""
    keys = training.population.evaluation_keys()
    examples, weights = data.heldout
    heldout = training.loop.evaluate(round_state.state, examples, weights, keys)
    num_steps = training.steps_since_evaluation(position.step)
    totals, on_host = processes.to_host((round_state.totals, heldout))
    state = round_state.state
    evaluation = Evaluation(position.step, num_steps, totals, on_host, state)
    return round_state_lib.note_evaluation(round_state, heldout["loss"]), evaluation


def _agree(stretch_steps: int, due: bool, hooks: Hooks) -> tuple[int, bool, int]:
    """Process 0 decides timing for all; a signal to any process applies to all."""
    signal_number = hooks.stop[0] if hooks.stop else 0
    of_all = processes.gather([stretch_steps, due, signal_number])
    return int(of_all[0, 0]), bool(of_all[0, 1]), int(of_all[:, 2].max())
