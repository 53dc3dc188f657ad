"""Dynamic sparse training: masks that change while a sparse network trains.

Every `interval` steps each layer drops a share of its kept weights, those of the
smallest magnitude, and grows as many others (Evci et al. 2020, algorithm 1):

- rigl: those of the largest gradient (Evci et al. 2020);
- magran: random ones, as often and as many (Oliveira et al. 2025, MagRan-DM);
- set: random ones, the same share to the last step (Mocanu et al. 2018);
- static: none are dropped or grown.

The share of the first two falls as half a cosine to 0 at the step `end`. A layer keeps
the number of its weights. What is grown starts at 0, with moments of 0.
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
_METHOD = "dynamic_method"  # in opt_state: a member's place in METHODS


class Growth(NamedTuple):
    """When masks change, and by how much."""

    share: float  #: of a layer's kept weights, at step 0
    interval: int  #: steps between two changes
    end: int  #: the step from which on masks stay, but those of set
    last: int  #: the last step of a training, after which none change


def draw(params: Tree, counts: Mapping[str, int], key: jax.Array) -> Tree:
    """Random masks that keep `counts` weights of each layer, all of other leaves."""
    leaves = trees.named_leaves(params)
    drawn = {
        name: jax.random.uniform(jax.random.fold_in(key, i), leaves[name].shape)
        for i, name in enumerate(counts)
    }
    scores, masks = trees.like(params, {**leaves, **drawn}), masks_lib.dense(params)
    return masks_lib.select(
        scores, masks, tuple(counts), tuple(counts.values()), "layer"
    )[0]


def share_at(growth: Growth, method: str, step: jax.Array) -> jax.Array:
    """The share of kept weights that is dropped after a step, float32."""
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
    """Drops the smallest weights of every layer and grows those of the highest scores.

    Args:
      params, masks: of one member.
      scores: tree as `params`, of what may be grown: higher = sooner.
      names: layers whose masks change.
      share: of a layer's kept weights, in [0, 1); rounded down, and at most as many as
        the layer has pruned ones.

    Returns:
      (masks, grown): a dropped weight may be grown again, at 0. Ties go to the earlier.
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
    # The floor of `select` grows a weight where none moves.
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
    """Weights, moments and averages of what was dropped or grown are exactly 0."""
    alive = jax.tree.map(lambda mask, new: mask & ~new, masks, grown)

    def clear(component: str, tree: Tree) -> Tree:
        return masks_lib.apply(alive[component], tree)

    return state._replace(
        params=masks_lib.apply(alive, state.params),
        opt_state=state_lib.map_like_params(clear, state),
    )


def watch(task: Task, names: Sequence[str], growth: Growth) -> Task:
    """The same training, whose masks change as the method of a member says.

    Args:
      task: see `tasks.task`; `with_methods` sets the methods of its members.
      names: layers whose masks change.
      growth: when, and by how much.
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
    """A population [M, ...] of a watched task, whose members have these methods."""
    opt_state = {**state.opt_state, _METHOD: jnp.asarray(methods, jnp.int32)}
    return state._replace(opt_state=opt_state)
