"""The rounds of an experiment: restore, train, save and record them."""

import functools
import sys
from collections.abc import Callable
from typing import Any

import jax

from gen_tickets.console import display
from gen_tickets.data.pipeline import Data
from gen_tickets.distributed import processes
from gen_tickets.kernels.lowering import LIBRARY
from gen_tickets.procedures import measurement, setup
from gen_tickets.procedures.setup import Prepared
from gen_tickets.pruning import masks as masks_lib
from gen_tickets.pruning.pruner import Pruner
from gen_tickets.training import driver, in_turn
from gen_tickets.training.population import Purpose
from gen_tickets.training.profiler import Profiler
from gen_tickets.training.round_state import Position, RoundState
from gen_tickets.workdir import paths, tickets
from gen_tickets.workdir.checkpoints import Checkpoints
from gen_tickets.workdir.recorder import Recorder


def hooks(
    prepared: Prepared, store: Checkpoints, recorder: Recorder, stop: list[int]
) -> driver.Hooks:
    """The callbacks of the driver."""
    config = prepared.config

    def save(round_state: RoundState, position: Position) -> None:
        number = position.number(prepared.schedule, config.prune.rounds)
        store.save(number, round_state, list(position))

    folder = paths.tensorboard_dir(recorder.workdir) if processes.is_first() else None
    return driver.Hooks(
        save=save,
        save_seconds=config.checkpoint.every_seconds,
        evaluated=evaluated(prepared, recorder),
        stop=stop,
        profiler=Profiler(folder, config.profile.steps),
    )


def evaluated(
    prepared: Prepared, recorder: Recorder
) -> Callable[[driver.Training, Position, driver.Evaluation], None]:
    """The callback after an evaluation: writes learning curves.

    Args:
      prepared: of the networks that are trained, whole or compact.
      recorder: of the experiment.
    """

    def write(
        training: driver.Training, position: Position, evaluation: driver.Evaluation
    ) -> None:
        measured = measurement.before_the_end(prepared, training, evaluation)
        recorder.evaluation(training, position, evaluation, measured)

    return write


def shapes(prepared: Prepared, position: Position) -> RoundState:
    """The shapes of a checkpoint at a position, for `restore`."""
    population = prepared.tickets if position.round else prepared.dense
    return setup.round_shapes(prepared, population)


def restore(
    store: Checkpoints, shapes: Callable[[Position], RoundState]
) -> tuple[RoundState, Position] | None:
    """The newest checkpoint, or None; prints where the run resumes."""
    restored = store.restore(lambda stored: shapes(Position(*stored)))
    if restored is None:
        return None
    position = Position(*restored[1])
    if processes.is_first():
        of_run = f"run {position.run}, " if position.run else ""
        place = f"from {of_run}round {position.round}, step {position.step:,}"
        if position.finished:
            place = f"after {of_run}round {position.round}, which is finished"
        display.say((f"continuing {place}", "bold green"))
    return restored[0], position


def trainings(prepared: Prepared, streamed: bool) -> Callable[[int], driver.Training]:
    """A function round -> training; all rounds of tickets share one compiled loop."""
    dense, arms = prepared.dense, prepared.tickets
    dense_loop = tickets_loop = setup.make_loop(prepared, dense, streamed)
    if arms.num_members != dense.num_members:
        one_by_one = prepared.members_at_once.get(arms.num_members, 1) == 1
        is_faster = in_turn.is_faster(arms, prepared.shapes.params)
        if is_faster and one_by_one and not streamed:
            tickets_loop = in_turn.in_turn(dense_loop, dense.num_members)
        else:
            tickets_loop = setup.make_loop(prepared, arms, streamed)
    num_rounds, schedule = prepared.config.prune.rounds, prepared.schedule

    def training(round_number: int) -> driver.Training:
        is_dense = round_number == 0
        population = prepared.dense if is_dense else prepared.tickets
        # Remaining members, counted in populations of this round's size.
        later = (num_rounds - round_number) * prepared.tickets.num_members
        steps_a_round = schedule.num_steps - schedule.rewind_step
        return driver.Training(
            title=f"round {round_number}/{num_rounds}",
            tag=f"round_{round_number:02d}",
            population=population,
            schedule=schedule,
            loop=dense_loop if is_dense else tickets_loop,
            first_step=0 if is_dense else schedule.rewind_step,
            last_step=schedule.num_steps,
            later_steps=later / population.num_members * steps_a_round,
            kept_step=schedule.rewind_step if is_dense else None,
            is_judged=is_dense,
        )

    return training


def record(
    prepared: Prepared,
    training: driver.Training,
    round_state: RoundState,
    position: Position,
    data: Data,
    recorder: Recorder,
    extra: Callable[[Prepared, Data, str], float] | None = None,
) -> None:
    """Writes tickets, images and rows of a round; idempotent.

    `extra` counts the FLOPs of an arm besides its steps; None: those of pruning.
    """
    is_dense = position.round == 0
    # Steps from the initial weights or from step k; later rounds also include pruning.
    steps = position.step - training.first_step

    def columns_of(arm: str, masks: Any) -> dict[str, float]:
        beside = 0.0
        if not is_dense:
            of_arm = extra and extra(prepared, data, arm)
            beside = _pruning_flops(prepared, data) if of_arm is None else of_arm
        return prepared.costs.of_training(masks, steps, beside)

    _record_tickets(prepared, round_state, position, recorder)
    masks = processes.to_host(round_state.masks)
    measurement.Measurement(
        prepared,
        training,
        round_state,
        position,
        data,
        recorder,
        masks_of=lambda member: jax.tree.map(lambda x: x[member], masks),
        columns_of=columns_of,
    ).record()


def _record_tickets(
    prepared: Prepared,
    round_state: RoundState,
    position: Position,
    recorder: Recorder,
) -> None:
    """Writes the tickets of all runs; transferred ones stay in their own workdir."""
    population, rewind = prepared.dense, round_state.rewind
    masks = population.first_arm(round_state.masks)
    weights = _apply(masks, rewind["params"])
    of_runs = processes.to_host((masks, weights, rewind["stats"]))
    for i, run in enumerate(population.runs):
        parts = jax.tree.map(lambda x, i=i: x[i], of_runs)
        step = prepared.schedule.rewind_step
        recorder.ticket(tickets.Ticket(*parts), position.round, run, step)


_apply = jax.jit(masks_lib.rewind)


@functools.cache
def _pruning_flops(prepared: Prepared, data: Data) -> float:
    """FLOPs of scoring and selecting weights, for one run."""
    task = prepared.build_task(lowering=LIBRARY)
    pruner = Pruner(prepared.config, task, prepared.shapes)
    keys = prepared.dense.run_keys(Purpose.SCORE)
    return pruner.flops(keys, *scored_images(prepared, data))


def tell_repeated(prepared: Prepared) -> None:
    """Reports on stderr the rounds that will train the ticket of the round before."""
    repeated = prepared.pruner.repeated_rounds(prepared.config.prune.rounds)
    if repeated and processes.is_first():
        numbers = ", ".join(map(str, repeated[:3])) + ", ..." * (len(repeated) > 3)
        print(
            f"prune.rounds={prepared.config.prune.rounds}: {len(repeated)} rounds "
            f"({numbers}) retrain the winning ticket of the previous round, because "
            "every layer keeps at least one weight",
            file=sys.stderr,
        )


def scored_images(prepared: Prepared, data: Data) -> tuple[Any, Any]:
    """The images and row indices that a saliency uses, or (None, None)."""
    if not prepared.pruner.looks_at_images:
        return None, None
    config = prepared.config
    return data.first_batches(
        prepared.dense, config.data.batch_size, config.prune.batches
    )
