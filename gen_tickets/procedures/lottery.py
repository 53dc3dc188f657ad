"""Iterative pruning with late rewinding (paper, Section 3.1).

1. Train the dense network to its last step T; keep its weights of step k.
2. Prune a share p of the remaining weights, those with the smallest saliency.
3. Rewind the kept weights to their values of step k: the winning ticket. Draw the same
   weights anew from the initializer: the random ticket, its control.
4. Train both from step k to step T, measure, and continue with 2.

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
    """Checks early what would fail in a later round, and plans the memory.

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
    """All rounds of an experiment, starting from its newest checkpoint.

    Args:
      prepared: the experiment, with its memory planned.
      data: its images.
      store: its checkpoints.
      recorder: writes the results.
      stop: filled by a signal, see `console.signals`.
      follow: begins a round after another; None: `next_round`.
      extra: FLOPs of an arm beside its steps; None: those of pruning.

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
    """Round 0: every run with all weights, from the initializer."""
    state = prepared.init(prepared.dense.run_keys(Purpose.INIT))
    return setup.begin_dense(prepared, state)


def next_round(
    prepared: Prepared, data: Data, trained: RoundState, round_number: int
) -> RoundState:
    """Prunes the trained weights, rewinds the kept ones and redraws the control."""
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
    """(masks, floored): the masks of a round, [R, ...], and the layers at the floor."""
    pruner, first_arm = prepared.pruner, prepared.dense.first_arm
    # At initialization every round scores the same weights in the same way, so the
    # ticket of a sparsity is the one of pruning to it in a single round.
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
