"""Dynamic sparse training: masks that change while a sparse network trains.

Every `interval` steps each layer drops a fraction of its kept weights, those with the
smallest magnitude, and grows as many others (Evci et al. 2020, algorithm 1):

- rigl: those with the largest gradient (Evci et al. 2020);
- magran: random ones, with the schedule of rigl (Oliveira et al. 2025, MagRan-DM);
- set: random ones, with a constant fraction to the last step (Mocanu et al. 2018);
- static: none.

For rigl and magran the fraction decays as half a cosine to 0 at the step `end`. The
number of kept weights of a layer is fixed. Grown weights start at 0, with moments of 0.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from gen_tickets import trees
from gen_tickets.pruning import masks as masks_lib
from gen_tickets.pruning import saliency
from gen_tickets.tasks.task import Task
from gen_tickets.training import state as state_lib
from gen_tickets.training.state import TrainState
from gen_tickets.trees import Tree

METHODS = ("static", "set", "rigl", "magran")
_METHOD = "dynamic_method"  # in opt_state: index of a member's method in METHODS


class Growth(NamedTuple):
    """The schedule of mask changes."""

    share: float  #: fraction of a layer's kept weights that is replaced, at step 0
    interval: int  #: steps between changes
    end: int  #: step after which masks are fixed, except those of set
    last: int  #: last step of training, where no mask changes


def draw(params: Tree, counts: Mapping[str, int | jax.Array], key: jax.Array) -> Tree:
    """Random masks that keep `counts` weights of each layer, and all other leaves."""
    leaves = trees.named_leaves(params)
    drawn = saliency.random({name: leaves[name] for name in counts}, key=key)
    scores, masks = trees.like(params, {**leaves, **drawn}), masks_lib.dense(params)
    return masks_lib.select(
        scores, masks, tuple(counts), tuple(counts.values()), "layer"
    )[0]


def share_at(growth: Growth, method: str, step: jax.Array) -> jax.Array:
    """The fraction of kept weights that is dropped after a step, float32."""
    step = jnp.asarray(step, jnp.float32)
    if method == "static":
        return jnp.zeros_like(step)
    if method == "set":
        return jnp.where(step < growth.last, growth.share, 0.0)
    falling = 0.5 * growth.share * (1 + jnp.cos(jnp.pi * step / growth.end))
    return jnp.where(step < growth.end, falling, 0.0)


def change(
    params: Tree,
    masks: Tree,
    scores: Tree,
    names: Sequence[str],
    share: jax.Array,
) -> tuple[Tree, Tree]:
    """Drops the smallest weights of every layer, grows those with the highest scores.

    Args:
      params, masks: of one member.
      scores: tree as `params`; the weights with the highest scores are grown.
      names: layers whose masks change.
      share: fraction of a layer's kept weights to drop, in [0, 1). The number is
        rounded down, and at most the number of pruned weights of the layer.

    Returns:
      (masks, grown): the new masks, and True for grown weights. A dropped weight may be
      grown again, at 0. Ties go to the lower index.
    """
    named_masks = trees.named_leaves(masks)
    kept = [named_masks[name].sum() for name in names]
    num_moved = [
        jnp.minimum(
            jnp.floor(share * count).astype(jnp.int32), named_masks[name].size - count
        )
        for name, count in zip(names, kept)
    ]
    num_left = [count - moved for count, moved in zip(kept, num_moved)]
    magnitudes = jax.tree.map(jnp.abs, params)
    left, _ = masks_lib.select(magnitudes, masks, names, num_left, "layer")
    pruned = jax.tree.map(jnp.logical_not, left)
    found, _ = masks_lib.select(scores, pruned, names, num_moved, "layer")
    # The floor of `select` would grow a weight even if none is to be moved.
    named_found = trees.named_leaves(found)
    moved_of = dict(zip(names, num_moved))
    grown = {
        name: (
            named_found[name] & (moved_of[name] > 0)
            if name in moved_of
            else jnp.zeros_like(mask)
        )
        for name, mask in named_masks.items()
    }
    of_grown: Tree = trees.like(masks, grown)
    return jax.tree.map(jnp.logical_or, left, of_grown), of_grown


def start_at_zero(state: TrainState, masks: Tree, grown: Tree) -> TrainState:
    """Sets weights, moments and averages of dropped and grown weights to exactly 0."""
    alive = jax.tree.map(lambda mask, new: mask & ~new, masks, grown)

    def clear(component: str, tree: Tree) -> Tree:
        return masks_lib.apply(alive[component], tree)

    return state._replace(
        params=masks_lib.apply(alive, state.params),
        opt_state=state_lib.map_like_params(clear, state),
    )


def watch(task: Task, names: Sequence[str], growth: Growth) -> Task:
    """Wraps a task so that masks change during training, by each member's method.

    Args:
      task: see `tasks.task`; `with_methods` sets the methods of its members.
      names: layers whose masks change.
      growth: the schedule of changes.
    """

    def init(key: jax.Array) -> TrainState:
        state = task.init(key)
        method = jnp.asarray(METHODS.index("static"), jnp.int32)
        return state._replace(opt_state={**state.opt_state, _METHOD: method})

    def is_due(step: jax.Array) -> jax.Array:
        return (step % growth.interval == 0) & (step < growth.last)

    def rewire(
        state: TrainState, masks: Tree, batch: Any, key: jax.Array
    ) -> tuple[TrainState, Tree]:
        def by_gradient() -> Tree:
            gradient = jax.grad(task.loss)(state.params, state.stats, batch, key)
            return jax.tree.map(jnp.abs, gradient)

        def by_chance() -> Tree:
            return saliency.random(state.params, key=key)

        method = state.opt_state[_METHOD]
        looks = (method == METHODS.index("rigl")) & (state.step < growth.end)
        scores = lax.cond(looks, by_gradient, by_chance)
        shares = jnp.stack([share_at(growth, name, state.step) for name in METHODS])
        changed, grown = change(state.params, masks, scores, names, shares[method])
        return start_at_zero(state, changed, grown), changed

    return task._replace(init=init, rewire=rewire, is_rewired=is_due)


def with_methods(state: TrainState, methods: Sequence[int]) -> TrainState:
    """Sets the methods of the members of a population [M, ...] of a wrapped task."""
    opt_state = {**state.opt_state, _METHOD: jnp.asarray(methods, jnp.int32)}
    return state._replace(opt_state=opt_state)
