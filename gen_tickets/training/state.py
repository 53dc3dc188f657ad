"""The training state, and the only place where masks are applied in training."""

from typing import NamedTuple

import jax.numpy as jnp
import optax
from jaxtyping import Array, Int

from gen_tickets.pruning import masks as masks_lib
from gen_tickets.trees import Masks, Tree


class TrainState(NamedTuple):
    """What a training step changes; data only, first level = component.

    In a population every array has a leading axis of members.
    """

    step: Int[Array, " *members"]  #: int32, steps done
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

    Gradients are masked before the optimizer sees them, so the moments of a pruned
    weight stay 0; weights are masked after, so weight decay cannot revive one.
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
