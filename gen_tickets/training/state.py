"""The training state, and the only place where masks are applied in training."""

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Int

from gen_tickets.pruning import masks as masks_lib
from gen_tickets.trees import Masks, Tree


class TrainState(NamedTuple):
    """The state that a training step changes; the first level is the component.

    In a population every array has a leading axis of members.
    """

    step: Int[Array, " *members"]  #: int32, number of steps done
    params: dict[str, Tree]
    stats: dict[str, Tree]  #: batch-norm statistics, spectral vectors
    opt_state: dict[str, Tree]


def create(
    params: dict[str, Tree],
    stats: dict[str, Tree],
    optimizer: optax.GradientTransformation,
) -> TrainState:
    """A new state at step 0, with one optimizer state per component."""
    opt_state = {component: optimizer.init(params[component]) for component in params}
    return TrainState(jnp.zeros((), jnp.int32), params, stats, opt_state)


def apply_update(
    state: TrainState,
    grads: dict[str, Tree],
    masks: Masks,
    optimizer: optax.GradientTransformation,
) -> TrainState:
    """One masked optimizer step on the components named in `grads`.

    Gradients are masked before the optimizer sees them, so the moments of pruned
    weights stay 0. Weights are masked afterwards, so weight decay cannot revive them.
    The task itself advances `step` and `stats`.
    """
    optimizer = optax.with_extra_args_support(optimizer)
    params, opt_state = dict(state.params), dict(state.opt_state)
    for component, component_grads in grads.items():
        mask = masks[component]
        updates, opt_state[component] = optimizer.update(
            masks_lib.apply(mask, component_grads),
            state.opt_state[component],
            state.params[component],
            step=state.step,
        )
        updated = optax.apply_updates(state.params[component], updates)
        params[component] = masks_lib.apply(mask, updated)
    return state._replace(params=params, opt_state=opt_state)


def map_like_params(
    function: Callable[[str, Tree], Tree], state: TrainState
) -> dict[str, Tree]:
    """Maps a function over all moments and averages in the optimizer state.

    Args:
      function: (component, tree with the structure of its weights) -> tree.
      state: parts of its `opt_state` that have another structure, or belong to no
        component, do not change.
    """

    def of_component(component: str, tree: Tree) -> Tree:
        structure: Any = jax.tree.structure(state.params[component])

        def is_like_params(tree: Tree) -> bool:
            return jax.tree.structure(tree) == structure

        return jax.tree.map(
            lambda x: function(component, x) if is_like_params(x) else x,
            tree,
            is_leaf=is_like_params,
        )

    mapped = dict(state.opt_state)
    for name, component in itertools.product(mapped, state.params):
        if name == component or name.startswith(f"{component}_"):
            mapped[name] = of_component(component, mapped[name])
    return mapped
