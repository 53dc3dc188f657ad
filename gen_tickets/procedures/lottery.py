"""Iterative pruning with late rewinding (paper, Section 3.1).

1. Train the dense network to its last step T; store its weights of step k.
2. Prune a fraction p of the remaining weights, those with the smallest saliency.
3. Rewind the kept weights to their values at step k: the winning ticket. Reinitialize
   the same weights: the random ticket, the control.
4. Train both from step k to step T, measure them, and continue with 2.

All runs, and both tickets of a round, are members of one compiled program.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax

from gen_tickets.data.pipeline import Data
from gen_tickets.procedures import arms, rounds, setup, transfer
from gen_tickets.procedures.setup import Prepared
from gen_tickets.training import driver
from gen_tickets.training import round_state as round_state_lib
from gen_tickets.training.population import Purpose
from gen_tickets.training.round_state import Position, RoundState
from gen_tickets.workdir.checkpoints import Checkpoints
from gen_tickets.workdir.recorder import Recorder


def check(prepared: Prepared, data: Data) -> Prepared:
    """Checks early for failures of later rounds, and plans the memory.

    Raises:
      UserError: a transferred ticket is missing, or there is not enough memory.
    """
    num_rounds, shapes = prepared.config.prune.rounds, prepared.shapes
    rounds.tell_repeated(prepared)
    transfer.load_round(prepared.source, num_rounds, prepared.dense, shapes)
    return setup.plan_memory(prepared, data, (prepared.dense, prepared.tickets))


def run(
    prepared: Prepared,
    data: Data,
    store: Checkpoints,
    recorder: Recorder,
    stop: list[int],
    follow: Callable[..., RoundState] | None = None,
    extra: Callable[[Prepared, Data, str], float] | None = None,
) -> None:
    """Runs all rounds of an experiment, starting from its newest checkpoint.

    Args:
      prepared: the experiment, with its memory planned.
      data: its images.
      store: its checkpoints.
      recorder: writes the results.
      stop: filled by a signal, see `console.signals`.
      follow: starts the next round; None: `next_round`.
      extra: FLOPs of an arm besides its steps; None: those of pruning.

    Raises:
      Interrupted: a signal arrived; everything is saved.
    """
    num_rounds = prepared.config.prune.rounds
    trainings = rounds.trainings(prepared, data.streamed)
    hooks = rounds.hooks(prepared, store, recorder, stop)
    restored = rounds.restore(store, functools.partial(rounds.shapes, prepared))
    round_state, position = restored or (dense(prepared), Position())
    while True:
        if not position.finished:
            training = trainings(position.round)
            round_state, position = driver.train(
                training, round_state, position, data, hooks
            )
            rounds.record(
                prepared, training, round_state, position, data, recorder, extra
            )
            position = position._replace(finished=True)
            hooks.save(round_state, position)
            recorder.page(position.seconds)
        if position.round == num_rounds:
            return
        round_number = position.round + 1
        round_state = (follow or next_round)(prepared, data, round_state, round_number)
        position = Position(round=round_number, step=prepared.schedule.rewind_step)


def dense(prepared: Prepared) -> RoundState:
    """Starts round 0: the newly initialized dense network of every run."""
    state = prepared.init(prepared.dense.run_keys(Purpose.INIT))
    return setup.begin_dense(prepared, state)


def next_round(
    prepared: Prepared, data: Data, trained: RoundState, round_number: int
) -> RoundState:
    """Prunes the trained weights, rewinds the winning arm, reinitializes the random."""
    if round_number == 1 and prepared.keep_dense:
        trained = trained._replace(dense=round_state_lib.copy(trained.state.params))
    masks, floored = _prune(prepared, data, trained, round_number)
    fresh = prepared.init(prepared.dense.run_keys(Purpose.REDRAW, round_number))
    begun = arms.rewind(
        trained.rewind,
        prepared.dense.first_arm(trained.diverged),
        masks,
        floored,
        fresh,
        prepared.dense.run_keys(Purpose.SHUFFLE, round_number),
        transfer.load_round(
            prepared.source, round_number, prepared.dense, prepared.shapes
        ),
        prepared.tickets.arms,
        prepared.schedule.rewind_step,
        prepared.metric_names,
    )
    begun = begun._replace(rewind=trained.rewind, dense=trained.dense)
    return prepared.tickets.layout.members(begun)


def _prune(
    prepared: Prepared, data: Data, trained: RoundState, round_number: int
) -> tuple[Any, jax.Array]:
    """(masks, floored) of a round, [R, ...]: masks, and number of floored layers."""
    pruner, first_arm = prepared.pruner, prepared.dense.first_arm
    # At initialization, every round scores the same weights with the same key, so the
    # ticket at a sparsity does not depend on the rounds before.
    at_start = prepared.config.prune.schedule == "at_initialization"
    scored = trained.dense or first_arm(trained.state.params)
    images, rows = rounds.scored_images(prepared, data)
    return pruner.prune(
        trained.rewind["params"] if at_start else scored,
        trained.rewind["stats"],  # used by saliencies at initialization only
        first_arm(trained.masks),
        pruner.num_keep(round_number),
        prepared.dense.run_keys(Purpose.SCORE, 0 if at_start else round_number),
        images,
        rows,
    )
