"""rewind.sweep: winning tickets for several rewind steps k from one dense training.

1. Train the dense networks to the last step T. On the way, begin the experiment of
   every k in a folder of its own, with a checkpoint of step k.
2. At T, give each of them the trained networks, with its own weights of step k.
3. Run them in turn: each continues from its checkpoint, as after a stop.

The folder of a k is the workdir of an ordinary experiment with rewind.step=k. Should
the checkpoint in it be lost, or k be added after step k of the dense training, that
experiment trains its dense networks itself, to the same results.
"""

import contextlib
import dataclasses
import functools
import pathlib
from collections.abc import Sequence
from typing import TypeAlias

from ml_collections import ConfigDict

from gen_tickets.data.pipeline import Data
from gen_tickets.distributed import processes
from gen_tickets.procedures import lottery, rounds
from gen_tickets.procedures.setup import Prepared
from gen_tickets.training import driver
from gen_tickets.training import schedule as schedule_lib
from gen_tickets.training.round_state import Position, RoundState
from gen_tickets.workdir import lock, paths
from gen_tickets.workdir.checkpoints import Checkpoints
from gen_tickets.workdir.recorder import Recorder

Experiments: TypeAlias = Sequence[tuple[Prepared, pathlib.Path]]  # with workdirs

check = lottery.check


def parts(
    config: ConfigDict, workdir: str | pathlib.Path
) -> list[tuple[ConfigDict, pathlib.Path]]:
    """(options, workdir) of the experiment of every step; [] without a sweep."""
    found = []
    for step in config.rewind.sweep:
        one = config.copy_and_resolve_references()
        one.rewind.step, one.rewind.sweep = step, ()
        found.append((one, paths.rewind_dir(workdir, step)))
    return found


def prepare(prepared: Prepared, config: ConfigDict) -> Prepared:
    """The experiment of one step, which shares the programs of the sweep.

    Args:
      prepared: the sweep, or the experiment of another step.
      config: from `parts`.
    """
    schedule = prepared.schedule
    step = schedule_lib.parse_steps(config.rewind.step, schedule.steps_per_epoch)
    schedule = dataclasses.replace(schedule, rewind_step=step)
    return dataclasses.replace(prepared, config=config, schedule=schedule)


def run(
    prepared: Prepared,
    data: Data,
    store: Checkpoints,
    recorder: Recorder,
    stop: list[int],
) -> None:
    """Trains the dense networks; arguments and errors as in `lottery.run`.

    Afterwards, the experiment of every step has a checkpoint at the end of its round 0.
    """
    hooks = rounds.hooks(prepared, store, recorder, stop)
    restored = rounds.restore(store, functools.partial(rounds.shapes, prepared))
    round_state, position = restored or (lottery.dense(prepared), Position())
    if position.finished:
        return
    experiments = [
        (prepare(prepared, config), folder)
        for config, folder in parts(prepared.config, recorder.workdir)
    ]
    training = _dense_training(prepared, experiments, data.streamed)
    for one, folder in experiments:
        step = one.schedule.rewind_step
        if position.step <= step:
            to_step = dataclasses.replace(training, last_step=step, kept_step=step)
            round_state, position = driver.train(
                to_step, round_state, position, data, hooks
            )
            _hand_over(one, folder, recorder, round_state, position)
    round_state, position = driver.train(training, round_state, position, data, hooks)
    hooks.save(round_state, position)
    for one, folder in experiments:
        _hand_over(one, folder, recorder, round_state, position)
    hooks.save(round_state, position._replace(finished=True))


def _dense_training(
    prepared: Prepared, experiments: Experiments, streamed: bool
) -> driver.Training:
    """Round 0, with the steps of all experiments after it."""
    dense = rounds.trainings(prepared, streamed)(0)
    later = [rounds.trainings(one, streamed)(0).later_steps for one, _ in experiments]
    return dataclasses.replace(dense, title="dense", later_steps=sum(later))


def _hand_over(
    one: Prepared,
    folder: pathlib.Path,
    recorder: Recorder,
    round_state: RoundState,
    position: Position,
) -> None:
    """Gives the experiment of a step k its next checkpoint, curves and baselines.

    Args:
      one, folder: the experiment and its workdir, created if missing.
      recorder: of the sweep.
      round_state, position: of the dense training at step k, or later; the weights of
        step k are then taken from the experiment's own checkpoint.
    """
    step = one.schedule.rewind_step
    with (
        lock.claimed(folder, one.config, recorder.provenance),
        contextlib.closing(Checkpoints(folder)) as store,
    ):
        restored = store.restore(lambda stored: rounds.shapes(one, Position(*stored)))
        if restored is not None:
            at = Position(*restored[1])
            if at.round > 0 or not step <= at.step < position.step:
                return  # it is further than this, or trains by itself
            round_state = round_state._replace(rewind=restored[0].rewind)
        elif position.step != step:
            return  # it was lost, so the experiment trains by itself
        if processes.is_first():
            _copy_measured(recorder.workdir, folder)
        number = position.number(one.schedule, one.config.prune.rounds)
        store.save(number, round_state, list(position))


def _copy_measured(source: str | pathlib.Path, target: pathlib.Path) -> None:
    """Copies the learning curves and baselines of a workdir, if there are any."""
    for find in (paths.curves_path, paths.baselines_path):
        if find(source).exists():
            paths.write_atomically(find(target), find(source).read_bytes())
