"""Early-bird tickets (paper, Section 3.4; You et al. 2020).

1. Search: train the dense network and compute a channel mask at the end of every epoch,
   until the masks are stable (`pruning.detection`).
2. Remove the pruned channels from weights, statistics and optimizer moments
   (`pruning.compact`).
3. Continue training the compact network to the last step.

Runs are sequential, because their compact networks have different widths. In positions
and tables round 0 is the search, round 1 the training that continues from it.
"""

import dataclasses
import functools
import math
import pathlib

from gen_tickets.data.pipeline import Data
from gen_tickets.distributed import processes
from gen_tickets.errors import UserError
from gen_tickets.evaluation import flops
from gen_tickets.procedures import lottery, measurement, rounds, setup
from gen_tickets.procedures.channel_cut import (
    channel_pruner,
    compact_of_run,
    cut,
    searching,
    whole_masks,
)
from gen_tickets.procedures.setup import Prepared
from gen_tickets.pruning import channels, compact, detection
from gen_tickets.pruning.channel_search import ChannelPruner
from gen_tickets.training import driver
from gen_tickets.training.loop import Loop
from gen_tickets.training.round_state import Position, RoundState
from gen_tickets.trees import Masks
from gen_tickets.workdir import paths, searches
from gen_tickets.workdir.checkpoints import Checkpoints
from gen_tickets.workdir.recorder import Recorder
from gen_tickets.workdir.searches import Search


def check(prepared: Prepared, data: Data) -> Prepared:
    """Checks early for later failures, and plans the memory.

    Raises:
      UserError: no channel has a batch or group norm, the search is as long as the
        training, or there is not enough memory.
    """
    budget, schedule = prepared.config.early_bird.epochs, prepared.schedule
    if budget * schedule.steps_per_epoch >= schedule.num_steps:
        epochs = schedule.num_steps / schedule.steps_per_epoch
        raise UserError(
            f"early_bird.epochs={budget}",
            f"must be below the {epochs:.3g} epochs of the training",
        )
    # The search needs the most memory: the compact network is smaller.
    searched = searching(prepared, channel_pruner(prepared))
    one = setup.of_run(searched, 0, "early_bird")
    plan = setup.plan_memory(one, data, (one.dense,)).members_at_once
    return dataclasses.replace(prepared, members_at_once=plan)


def run(
    prepared: Prepared,
    data: Data,
    store: Checkpoints,
    recorder: Recorder,
    stop: list[int],
) -> None:
    """Trains all runs in turn; arguments and errors as in `lottery.run`."""
    pruner = channel_pruner(prepared)
    hooks = rounds.hooks(prepared, store, recorder, stop)
    # All searches share their programs.
    searched = searching(prepared, pruner)
    first = setup.of_run(searched, 0, "early_bird")
    search_loop = setup.make_loop(first, first.dense, data.streamed)
    shapes = functools.partial(_shapes, prepared, first, pruner, recorder.workdir)
    round_state, position = rounds.restore(store, shapes) or (None, Position())
    for number in range(position.run, prepared.config.runs):
        if position.round == 0:
            one = setup.of_run(searched, number, "early_bird")
            training = _search_training(one, search_loop, prepared.config.runs)
            round_state, position = driver.train(
                training, round_state or lottery.dense(one), position, data, hooks
            )
            round_state, position = cut(
                prepared, pruner, round_state, position, recorder
            )
            hooks.save(round_state, position)
        if not position.finished:
            search = searches.load(paths.search_path(recorder.workdir, number))
            one = compact_of_run(prepared, pruner, search, number)
            training = _compact_training(one, search, data, prepared.config.runs)
            assert round_state is not None  # restored, or from the search
            evaluated = rounds.evaluated(one, recorder)
            round_state, position = driver.train(
                training,
                round_state,
                position,
                data,
                dataclasses.replace(hooks, evaluated=evaluated),
            )
            _record(
                prepared, one, search, training, round_state, position, data, recorder
            )
            position = position._replace(finished=True)
            hooks.save(round_state, position)
        round_state, position = None, Position(run=number + 1)


def _shapes(
    prepared: Prepared,
    searched: Prepared,
    pruner: ChannelPruner,
    workdir: str | pathlib.Path,
    position: Position,
) -> RoundState:
    """The shapes of a checkpoint: in the search, or of the compact network."""
    one = searched
    if position.round:
        search = searches.load(paths.search_path(workdir, position.run))
        one = compact_of_run(prepared, pruner, search, position.run)
    return setup.round_shapes(one, one.dense)


def _search_training(one: Prepared, loop: Loop, num_runs: int) -> driver.Training:
    """The training until a ticket is found or `early_bird.epochs` are over."""
    schedule, number = one.schedule, one.dense.runs[0]

    def is_found(round_state: RoundState) -> bool:
        found = detection.history(round_state.state).found
        return bool(processes.to_host(found)[0] > 0)

    return driver.Training(
        title=f"run {number}, search",
        tag=f"run_{number}/round_00",
        population=one.dense,
        schedule=schedule,
        loop=loop,
        first_step=0,
        last_step=one.config.early_bird.epochs * schedule.steps_per_epoch,
        later_steps=(num_runs - 1 - number) * schedule.num_steps,
        is_over=is_found,
        asked_every=schedule.steps_per_epoch,
    )


def _compact_training(
    one: Prepared, search: Search, data: Data, num_runs: int
) -> driver.Training:
    """The training from the end of the search to the last step."""
    schedule, number = one.schedule, one.dense.runs[0]
    return driver.Training(
        title=f"run {number}, compact",
        tag=f"run_{number}/round_01",
        population=one.dense,
        schedule=schedule,
        loop=setup.make_loop(one, one.dense, data.streamed),
        first_step=len(search.drawn) * schedule.steps_per_epoch,
        last_step=schedule.num_steps,
        later_steps=(num_runs - 1 - number) * schedule.num_steps,
        is_judged=True,
    )


def _record(
    whole: Prepared,
    one: Prepared,
    search: Search,
    training: driver.Training,
    round_state: RoundState,
    position: Position,
    data: Data,
    recorder: Recorder,
) -> None:
    """Writes images and rows of a run; FLOPs include the search and its masks."""
    pruner = channel_pruner(whole)
    everything = compact.sizes(pruner.groups, channels.complete(pruner.groups, {}))
    whole_step = one.costs.of_step(everything).total()
    whole_params, masks = whole.shapes.params, whole_masks(whole, pruner, search)
    epochs = len(search.drawn)
    drawing = flops.count(pruner.draw, whole_params)
    searching = training.first_step * whole_step + epochs * drawing

    def columns_of(arm: str, masks: Masks) -> dict[str, float]:
        del arm  # there is one
        steps = position.step - training.first_step
        return {
            "found_epoch": search.found or math.nan,
            "search_epochs": epochs,
            **one.costs.of_training(masks, steps, searching),
        }

    measurement.Measurement(
        one,
        training,
        round_state,
        position,
        data,
        recorder,
        masks_of=lambda member: masks,
        columns_of=columns_of,
    ).record()
