"""Dynamic sparse training: sparse from the first step to the last (`pruning.dynamic`).

1. Train the dense network for comparison (round 0).
2. For each sparsity, draw a random mask with the layer densities of
   `dynamic.distribution` and apply it to the initial weights of round 0.
3. Train to the last step with each of `dynamic.methods`, which changes the mask during
   training. The methods are arms that start with the same weights and masks. Measure
   them, then continue with the next sparsity.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp

from gen_tickets import trees
from gen_tickets.data.pipeline import Data
from gen_tickets.evaluation import flops
from gen_tickets.kernels.lowering import LIBRARY
from gen_tickets.procedures import lottery, setup
from gen_tickets.procedures.setup import Prepared
from gen_tickets.pruning import densities, dynamic
from gen_tickets.pruning import masks as masks_lib
from gen_tickets.training import round_state as round_state_lib
from gen_tickets.training.population import Purpose
from gen_tickets.training.round_state import RoundState
from gen_tickets.workdir.checkpoints import Checkpoints
from gen_tickets.workdir.recorder import Recorder


def check(prepared: Prepared, data: Data) -> Prepared:
    """The experiment with changing masks and a memory plan.

    Raises:
      UserError: there is not enough memory.
    """
    prepared = _watched(prepared)
    return setup.plan_memory(prepared, data, (prepared.dense, prepared.tickets))


def run(
    prepared: Prepared,
    data: Data,
    store: Checkpoints,
    recorder: Recorder,
    stop: list[int],
) -> None:
    """Trains all sparsities in turn; arguments and errors as in `lottery.run`."""
    lottery.run(prepared, data, store, recorder, stop, next_round, _growth_flops)


def next_round(
    prepared: Prepared, data: Data, trained: RoundState, round_number: int
) -> RoundState:
    """Starts every method at the sparsity of a round, from the initial weights."""
    del data
    counts = _layer_counts(prepared, round_number)
    begun = _begin(
        trained.rewind,
        prepared.init(prepared.dense.run_keys(Purpose.INIT)),
        prepared.dense.run_keys(Purpose.SCORE, round_number),
        tuple(counts),
        tuple(counts.values()),
        prepared.tickets.arms,
        prepared.metric_names,
    )
    return prepared.tickets.layout.members(begun._replace(rewind=trained.rewind))


def _watched(prepared: Prepared) -> Prepared:
    """The experiment with the methods as arms and a task that changes masks."""
    growth, names = _growth(prepared), prepared.pruner.names
    methods = tuple(prepared.config.dynamic.methods)
    return dataclasses.replace(
        setup.with_task(prepared, dynamic.watch(prepared.task, names, growth)),
        tickets=dataclasses.replace(prepared.tickets, arms=methods),
    )


def _growth(prepared: Prepared) -> dynamic.Growth:
    options, last = prepared.config.dynamic, prepared.schedule.num_steps
    end = max(round(options.end * last), 1)
    return dynamic.Growth(options.fraction, options.every_steps, end, last)


def _layer_counts(prepared: Prepared, round_number: int) -> dict[str, int]:
    """{layer: kept weights}, distributed within each pool of `prune.scope`."""
    leaves = trees.named_leaves(prepared.shapes.params)
    options, pruner = prepared.config, prepared.pruner
    pools = masks_lib.pools(pruner.names, options.prune.scope)
    counts: dict[str, int] = {}
    for pool, num_keep in zip(pools, pruner.num_keep(round_number), strict=True):
        shapes = {name: leaves[name].shape for name in pool}
        counts |= densities.layer_counts(shapes, options.dynamic.distribution, num_keep)
    return counts


@functools.partial(jax.jit, static_argnames=("names", "methods", "metric_names"))
def _begin(
    initial: dict[str, Any],
    fresh: Any,
    keys: jax.Array,
    names: tuple[str, ...],
    counts: tuple[int | jax.Array, ...],
    methods: tuple[str, ...],
    metric_names: tuple[str, ...],
) -> RoundState:
    """All methods at step 0, [M, ...]; a run has the same start [R, ...] in each.

    The numbers of kept weights, `counts`, are traced: all rounds share a program.
    """

    def draw(params: Any, key: jax.Array) -> Any:
        return dynamic.draw(params, dict(zip(names, counts)), key)

    masks = jax.vmap(draw)(initial["params"], keys)
    state = fresh._replace(
        params=masks_lib.rewind(masks, initial["params"]), stats=initial["stats"]
    )
    num_runs, copies = state.step.shape[0], len(methods)
    masks, state = jax.tree.map(lambda x: jnp.concatenate([x] * copies), (masks, state))
    places = [dynamic.METHODS.index(name) for name in methods for _ in range(num_runs)]
    # No round is an ancestor of another.
    return round_state_lib.begin(
        dynamic.with_methods(state, places),
        metric_names,
        masks,
        floored=jnp.zeros(num_runs, jnp.int32),
    )


@functools.cache
def _growth_flops(prepared: Prepared, data: Data, arm: str) -> float:
    """FLOPs of RigL's dense gradients; the other methods need no extra FLOPs."""
    if arm != "rigl":
        return 0.0
    growth, task = _growth(prepared), prepared.build_task(lowering=LIBRARY)
    num_changes = (min(growth.end, growth.last) - 1) // growth.interval
    state, key = prepared.shapes, jax.random.key(0)
    of_one = flops.count(
        jax.grad(task.loss), state.params, state.stats, prepared.batch, key
    )
    return num_changes * of_one
