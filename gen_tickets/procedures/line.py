"""Linear interpolation between two trained networks, and metrics along the line.

Interpolated batch-norm statistics do not match the interpolated weights (Frankle et al.
2020), so they are recomputed on training images.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int, Key, UInt8

from gen_tickets.data.pipeline import Data
from gen_tickets.distributed import processes
from gen_tickets.procedures.setup import Prepared
from gen_tickets.pruning import masks as masks_lib
from gen_tickets.tasks.task import Task
from gen_tickets.training import loop as loop_lib
from gen_tickets.training.state import TrainState
from gen_tickets.trees import Tree

# Batches used to recompute the statistics: with a momentum of 0.9, the old ones keep a
# weight of 0.9^50 = 0.5 %.
_STATISTICS_BATCHES = 50

Measure = Callable[[int, TrainState, TrainState], list[dict[str, float]]]


def interpolate(
    one: TrainState, other: TrainState, point: Float[Array, ""]
) -> TrainState:
    """(1 - point) * one + point * other, for all floating-point arrays.

    Args:
      one, other: states of a member.
      point: scalar in [0, 1].
    """

    def between(a: Array, b: Array) -> Array:
        is_float = jnp.issubdtype(a.dtype, jnp.floating)
        return (1.0 - point) * a + point * b if is_float else a

    return jax.tree.map(between, one, other)


def with_statistics_of(
    task: Task,
    state: TrainState,
    batches: UInt8[Array, "batches batch h w c"],
    key: Key[Array, ""],
) -> TrainState:
    """The state with batch-norm statistics recomputed on training batches.

    Args:
      task: its step computes the statistics; everything else of the step is discarded.
      state: of a member.
      batches: uint8 [batches, batch, H, W, C].
      key: for the noise of the steps.
    """
    masks = masks_lib.dense(state.params)

    def body(
        stats: Tree, step: tuple[Int[Array, ""], UInt8[Array, "batch h w c"]]
    ) -> tuple[Tree, None]:
        number, batch = step
        step_key = jax.random.fold_in(key, number)
        after, _ = task.step(state._replace(stats=stats), masks, batch, step_key)
        return after.stats, None

    numbers = jnp.arange(len(batches))
    stats, _ = lax.scan(body, state.stats, (numbers, batches))
    return state._replace(stats=stats)


def make(
    prepared: Prepared, data: Data, points: Float[np.ndarray, " points"]
) -> Measure:
    """A function (run, one, other) -> metrics at each point, [{column: value}].

    The columns are the task's metrics on held-out images, such as "heldout_loss", and
    those of `eval.metrics`.
    """
    task = prepared.task
    evaluate = loop_lib.make_loop(task).evaluate
    images, rows = data.first_batches(
        prepared.dense, prepared.schedule.images_per_step, _STATISTICS_BATCHES
    )

    @jax.jit
    def states(
        one: TrainState,
        other: TrainState,
        rows: Int[Array, "batches batch"],
        key: Key[Array, ""],
    ) -> TrainState:
        def at(point: Float[Array, ""]) -> TrainState:
            state = interpolate(one, other, point)
            if not jax.tree.leaves(state.stats):
                return state
            return with_statistics_of(task, state, images[rows], key)

        return lax.map(at, jnp.asarray(points, jnp.float32))

    def measure(run: int, one: TrainState, other: TrainState) -> list[dict[str, float]]:
        place = prepared.dense.runs.index(run)
        key = prepared.dense.evaluation_keys()[place]
        on_line = states(one, other, rows[place], key)
        keys = jnp.stack([key] * len(points))
        heldout = processes.to_host(evaluate(on_line, *data.heldout, keys))
        return [
            {f"heldout_{name}": float(values[i]) for name, values in heldout.items()}
            | prepared.measure(jax.tree.map(lambda x: x[i], on_line))
            for i in range(len(points))
        ]

    return measure
