"""Compiled stretches of training and evaluation over a population; knows no model.

A population is one training state whose every array has a leading axis of members
(runs x arms); one program trains them all. Masks, images, batch order and the number of
steps are arguments, so all rounds, and stretches of any length, share one compile.
(`jax.pmap`, which a reader may look for, is itself jit over a mesh today.)

An accelerator takes all members at once (`jax.vmap`): each alone would leave it idle.
A CPU is busy with one, and members in turn keep its caches warm and never batch a
matrix product, so there they follow one another inside the program (`lax.map`).

Examples are what a task's step takes: uint8 images [N, H, W, C], or a tree of arrays
that share the axis N, such as {"images": ..., "labels": ...}.
"""

from functools import partial
from typing import Any, Callable, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

# Rows of batch order a stretch may hold: bounds the argument, not the training.
MAX_STRETCH = 512


class Loop(NamedTuple):
    """The compiled functions of one task; see `make_loop`."""

    stretch: Callable[..., Any]
    evaluate: Callable[..., Any]


def empty_totals(task, batch, num_members: int) -> dict[str, jax.Array]:
    """Zero sums of every metric of a step on `batch`, each [num_members]."""
    key = jax.random.key(0)
    state = jax.eval_shape(task.init, key)
    masks = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, bool), state.params)
    _, metrics = jax.eval_shape(task.step, state, masks, batch, key)
    return {name: jnp.zeros(num_members) for name in metrics}


def _on_cpu() -> bool:
    return jax.default_backend() == "cpu"


def _at_once(function, tree):
    return jax.vmap(function)(tree)


def make_loop(task, in_turn: bool | None = None) -> Loop:
    """Compiles a task for populations.

    Args:
      task: see `tasks.task`.
      in_turn: members one after the other, or all at once; None: in turn on a CPU.

    Returns:
      Loop(stretch, evaluate).

    Loop.stretch(state, totals, masks, examples, order, keys, num_steps)
      trains every member for num_steps:
        state: population, donated; totals: {metric: sum over steps [members]}, donated;
        masks: population of masks; examples: [N, ...] on the device;
        order: int32 [MAX_STRETCH, members, batch], rows of example indices;
        keys: one key a member; step s of a member uses fold_in(key, s).
      Returns (state, totals).
    Loop.evaluate(state, examples, weights, keys)
      averages task.evaluate over examples:
        examples: [batches, batch, ...]; weights: float [batches, batch], 0 for
        padding; keys: one key a member.
      Returns {metric: [members]}.
    """

    over_members = lax.map if (in_turn is None and _on_cpu()) or in_turn else _at_once

    @partial(jax.jit, donate_argnums=(0, 1))
    def stretch(state, totals, masks, examples, order, keys, num_steps):
        def member(of_member):
            state, totals, masks, order, key = of_member

            def body(i, carry):
                state, totals = carry
                batch = jax.tree.map(lambda x: x[order[i]], examples)
                step_key = jax.random.fold_in(key, state.step)
                state, metrics = task.step(state, masks, batch, step_key)
                return state, jax.tree.map(jnp.add, totals, metrics)

            # What lax.scan lowers to, but with a length known only when it runs.
            return lax.fori_loop(0, num_steps, body, (state, totals))

        order = order.swapaxes(0, 1)  # [members, MAX_STRETCH, batch]
        return over_members(member, (state, totals, masks, order, keys))

    @jax.jit
    def evaluate(state, examples, weights, keys):
        def member(of_member):
            state, key = of_member

            def body(sums, batch):
                i, examples, weights = batch
                values = task.evaluate(state, examples, jax.random.fold_in(key, i))
                # where: a padded image may be non-finite without harm.
                added = {
                    name: jnp.where(weights > 0, x, 0.0).sum()
                    for name, x in values.items()
                }
                return jax.tree.map(jnp.add, sums, added), None

            first = jax.tree.map(lambda x: x[0], examples)
            shapes = jax.eval_shape(task.evaluate, state, first, key)
            zeros = {name: jnp.zeros(()) for name in shapes}
            index = jnp.arange(len(weights))
            sums, _ = lax.scan(body, zeros, (index, examples, weights))
            return jax.tree.map(lambda x: x / weights.sum(), sums)

        return over_members(member, (state, keys))

    return Loop(stretch, evaluate)


def in_batches(examples, batch_size: int):
    """Cuts examples [N, ...] into [batches, batch, ...] and weights, padded.

    Returns:
      (examples, weights): the last batch is filled up with the first one at weight 0.
    """
    count = len(jax.tree.leaves(examples)[0])
    batch_size = min(batch_size, count)
    num_batches = -(-count // batch_size)
    index = jnp.arange(num_batches * batch_size)
    weights = (index < count).astype(jnp.float32)
    rows = jnp.where(index < count, index, 0)
    shape = (num_batches, batch_size)

    def cut(x):
        return jnp.asarray(x)[rows].reshape(*shape, *x.shape[1:])

    return jax.tree.map(cut, examples), weights.reshape(shape)
