"""Instability analysis: after which step does SGD noise no longer decide the outcome?

Frankle, Dziugaite, Roy, Carbin 2020 ("Linear Mode Connectivity and the Lottery Ticket
Hypothesis", arXiv 1912.05671). For every step k, copies of a network are trained from
the same weights of step k to the last step, each with its own SGD noise (batch order;
latents of VAEs and GANs). The loss is then measured along the line between the weights
of two copies. *Instability* is the largest loss on the line minus the mean loss of its
ends; a network is *stable* at k if the instability is small. Iterative magnitude
pruning finds matching tickets if the network is stable at the rewind step.

All copies for all steps are arms of one population. Until step k, a copy trains with
the noise of its run's dense training, so it *is* the dense training; from k on it has
its own noise. If a ticket is analysed, its weights are masked at step k and its
optimizer is reset, as for a rewound ticket. For a dense network the reset is optional,
because Adam's first steps are large and move the copies apart.
"""

import functools
import itertools
import pathlib
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gen_tickets.data.pipeline import Data
from gen_tickets.errors import UserError
from gen_tickets.procedures import line, rounds, setup
from gen_tickets.procedures.setup import Prepared
from gen_tickets.pruning import masks as masks_lib
from gen_tickets.training import driver
from gen_tickets.training import round_state as round_state_lib
from gen_tickets.training.loop import Loop
from gen_tickets.training.population import Population, Purpose
from gen_tickets.training.round_state import Position, RoundState
from gen_tickets.workdir import paths, tickets
from gen_tickets.workdir.checkpoints import Checkpoints
from gen_tickets.workdir.recorder import Recorder


class Copy(NamedTuple):
    """An arm of the analysis."""

    step: int  #: k
    noise: int  #: 1, 2, ...: the draw of SGD noise from step k on

    @property
    def arm(self) -> str:
        return f"step_{self.step}_copy_{self.noise}"


def steps_to_analyse(given: tuple[int, ...], num_steps: int) -> tuple[int, ...]:
    """The steps k: those given, or 0, 10 and ½, 1, 2, 5, 10, 20 % of the training."""
    shares = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
    steps = given or (0, 10, *(round(share * num_steps) for share in shares))
    return tuple(sorted({step for step in steps if step < num_steps}))


def copies(prepared: Prepared) -> tuple[Copy, ...]:
    """All arms of the analysis, in the order of the steps."""
    options = prepared.config.stability
    steps = steps_to_analyse(tuple(options.steps), prepared.schedule.num_steps)
    noises = range(1, options.copies + 1)
    return tuple(Copy(step, noise) for step in steps for noise in noises)


def population_at(prepared: Prepared, step: int) -> Population:
    """The copies from `step` on; those for a later k still share the dense noise."""
    arms = copies(prepared)
    return Population(
        seed=prepared.config.seed,
        runs=prepared.dense.runs,
        arms=tuple(copy.arm for copy in arms),
        layout=prepared.dense.layout,
        noise=tuple(copy.noise if copy.step <= step else 0 for copy in arms),
    )


def check(prepared: Prepared, data: Data) -> Prepared:
    """Checks early for later failures, and plans the memory.

    Raises:
      UserError: a step outside of the training, streamed images, or not enough
        memory.
    """
    num_steps = prepared.schedule.num_steps
    for step in prepared.config.stability.steps:
        if step >= num_steps:
            raise UserError(
                f"stability.steps={step}",
                f"must be below the {num_steps} training steps",
            )
    if data.streamed:
        raise UserError(
            "data.resident=False",
            "each copy in an instability analysis trains on its own batches",
            "give data.resident=True",
        )
    return setup.plan_memory(prepared, data, (population_at(prepared, 0),))


def run(
    prepared: Prepared,
    data: Data,
    store: Checkpoints,
    recorder: Recorder,
    stop: list[int],
) -> None:
    """Runs the whole analysis; arguments and errors as in `lottery.run`.

    Writes stability.csv: one row per run, step k, pair of copies and point on the line.
    """
    hooks = rounds.hooks(prepared, store, recorder, stop)
    everyone = population_at(prepared, 0)
    loop = setup.make_loop(prepared, everyone, data.streamed)
    masks = _ticket_masks(prepared, recorder.workdir)
    restored = rounds.restore(store, lambda position: _shapes(prepared, everyone))
    round_state, position = restored or (_begin(prepared, everyone), Position())
    if position.finished:
        return
    trainings = _trainings(prepared, loop)
    for number in range(position.round, len(trainings)):
        training = trainings[number]
        if position.step == training.first_step:
            round_state = _separate(prepared, round_state, masks, training.first_step)
        round_state, position = driver.train(
            training, round_state, position, data, hooks
        )
        hooks.save(round_state, position)
        position = position._replace(round=number + 1)
    recorder.stability(_lines(prepared, round_state, data))
    hooks.save(round_state, position._replace(finished=True))


def _begin(prepared: Prepared, population: Population) -> RoundState:
    """Every copy with the initial weights of its run."""
    state = prepared.init(prepared.dense.run_keys(Purpose.INIT))
    state = _tile(state, len(population.arms))
    return population.layout.members(_begin_round(state, prepared.metric_names))


def _shapes(prepared: Prepared, population: Population) -> RoundState:
    """Shapes and shardings of the result of `_begin`, for reading a checkpoint."""
    size = population.num_members
    state = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct((size, *x.shape), x.dtype), prepared.shapes
    )
    begun = jax.eval_shape(lambda x: _begin_round(x, prepared.metric_names), state)
    return population.layout.shapes(begun)


@functools.partial(jax.jit, static_argnums=1)
def _tile(tree: Any, count: int) -> Any:
    return jax.tree.map(lambda x: jnp.concatenate([x] * count), tree)


_begin_round = jax.jit(round_state_lib.begin, static_argnums=1)


def _trainings(prepared: Prepared, loop: Loop) -> list[driver.Training]:
    """One training from each k to the next, and from the last k to the end."""
    schedule = prepared.schedule
    steps = sorted({copy.step for copy in copies(prepared)} | {0})
    ends = (*steps[1:], schedule.num_steps)
    return [
        driver.Training(
            title="stability",
            tag="stability",
            population=population_at(prepared, start),
            schedule=schedule,
            loop=loop,
            first_step=start,
            last_step=end,
        )
        for start, end in zip(steps, ends)
    ]


def _separate(
    prepared: Prepared, round_state: RoundState, masks: Any, step: int
) -> RoundState:
    """Starts the copies of this k with their own noise; applies a ticket's masks.

    Args:
      prepared: the experiment.
      round_state: of all copies at step k.
      masks: of the analysed network, [R, ...].
      step: k.
    """
    arms = copies(prepared)
    runs = prepared.dense.num_runs
    starts = np.repeat([copy.step == step for copy in arms], runs)  # [M]
    options, layout = prepared.config.stability, prepared.dense.layout
    opt_state = round_state.state.opt_state
    if options.reset_optimizer or options.tickets:
        fresh = prepared.init(prepared.dense.run_keys(Purpose.INIT)).opt_state
        opt_state = _tile(fresh, len(arms))
    separated = _restart(
        round_state,
        opt_state,
        _tile(masks, len(arms)),
        layout.members(starts),
    )
    return layout.members(separated)


@jax.jit
def _restart(
    round_state: RoundState, opt_state: Any, masks: Any, starts: jax.Array
) -> RoundState:
    """Sets masks and optimizer state of the members that start; all [M, ...]."""

    def choose(new: jax.Array, old: jax.Array) -> jax.Array:
        return jnp.where(starts.reshape(-1, *[1] * (old.ndim - 1)), new, old)

    masks = jax.tree.map(choose, masks, round_state.masks)
    state = round_state.state._replace(
        params=masks_lib.apply(masks, round_state.state.params),
        opt_state=jax.tree.map(choose, opt_state, round_state.state.opt_state),
    )
    return round_state._replace(state=state, masks=masks)


def _ticket_masks(prepared: Prepared, workdir: str | pathlib.Path) -> Any:
    """Masks of the analysed networks, [R, ...]: of a ticket, or dense.

    Raises:
      UserError: the ticket is missing, or of other networks.
    """
    options = prepared.config.stability
    if not options.tickets:
        shapes = prepared.shapes.params
        return jax.tree.map(
            lambda x: jnp.ones((prepared.dense.num_runs, *x.shape), bool), shapes
        )
    found = []
    for run_number in prepared.dense.runs:
        path = paths.ticket_path(options.tickets, options.round, run_number)
        found.append(tickets.load(path).masks)
    return jax.tree.map(lambda *x: jnp.asarray(np.stack(x)), *found)


def _lines(
    prepared: Prepared, round_state: RoundState, data: Data
) -> list[dict[str, Any]]:
    """Metrics on the line between each pair of copies of the same run and k."""
    population = population_at(prepared, 0)
    points = np.linspace(0.0, 1.0, prepared.config.stability.points)
    measure = line.make(prepared, data, points)
    pairs = itertools.combinations(copies(prepared), 2)
    rows = []
    for one, other in (pair for pair in pairs if pair[0].step == pair[1].step):
        for run_number in prepared.dense.runs:
            ends = [
                population.layout.member(
                    round_state.state, population.index(copy.arm, run_number)
                )
                for copy in (one, other)
            ]
            for point, metrics in zip(points, measure(run_number, *ends)):
                row = {
                    "round": prepared.config.stability.round,
                    "run": run_number,
                    "step": one.step,
                    "copy_a": one.noise,
                    "copy_b": other.noise,
                    "point": float(point),
                }
                rows.append(row | metrics)
    return rows
