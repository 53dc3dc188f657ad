"""The training state, and the one place where masks meet gradients and weights."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from gen_tickets import trees
from gen_tickets.pruning import masks as masks_lib


class TrainState(NamedTuple):
    """What a training step changes; data only, first level = component.

    In a population every array has a leading axis of members.
    """

    step: jax.Array  #: int32, steps done
    params: dict[str, Any]
    stats: dict[str, Any]  #: batch-norm statistics, spectral vectors
    opt_state: dict[str, Any]


def _scale_by_rate(config, num_steps: int):
    """Minus the learning rate of the training step, which `update` takes as `step`.

    The state's own step, not one that the optimizer counts: a rewound ticket goes on
    with the rate of step k, and a discriminator's updates within a step share theirs.
    """
    if config.schedule == "cosine":
        rate = optax.cosine_decay_schedule(config.learning_rate, max(num_steps, 1))
    else:
        rate = optax.constant_schedule(config.learning_rate)

    def update(updates, state, params=None, *, step, **others):
        del params, others
        scale = -rate(step)
        return jax.tree.map(lambda x: scale * x, updates), state

    return optax.GradientTransformationExtraArgs(
        lambda params: optax.EmptyState(), update
    )


def _add_scale_l1(coefficient: float):
    """Adds the gradient of coefficient * sum |gamma| over batch-norm scales."""

    def add(updates, params):
        def of_leaf(name, update, x):
            is_scale = name.rpartition("/")[2] == "scale"
            return update + coefficient * jnp.sign(x) if is_scale else update

        return trees.map_named(of_leaf, updates, params)

    return optax.stateless(add)


def make_optimizer(config, num_steps: int) -> optax.GradientTransformationExtraArgs:
    """Builds the optimizer from `config.optimizer`; `update` takes step=state.step.

    "adam" adds weight_decay * weight to the gradient (coupled, what the paper's
    PyTorch Adam does), "adamw" shrinks the weights apart from the moments. scale_l1
    is a term of the loss, with which early-bird tickets are trained (You et al. 2020).

    Args:
      config: `config.optimizer`.
      num_steps: steps of a training, over which a schedule of the rate is laid.
    """
    decay = optax.add_decayed_weights(config.weight_decay)
    rate = _scale_by_rate(config, num_steps)
    adam = optax.scale_by_adam(b1=config.b1, b2=config.b2)
    chains = {
        "adam": (decay, adam, rate),
        "adamw": (adam, decay, rate),
        "sgd": (decay, optax.trace(config.b1), rate),
    }
    chain = chains[config.name]
    if config.scale_l1 > 0.0:
        chain = (_add_scale_l1(config.scale_l1), *chain)
    if config.weight_decay == 0.0:
        chain = tuple(part for part in chain if part is not decay)
    return optax.chain(*chain)


def create(params, stats, optimizer) -> TrainState:
    """A fresh state at step 0, one optimizer state a component."""
    opt_state = {component: optimizer.init(params[component]) for component in params}
    return TrainState(jnp.zeros((), jnp.int32), params, stats, opt_state)


def apply_update(state: TrainState, grads, masks, optimizer) -> TrainState:
    """One optimizer step on the components named in `grads`, masks obeyed.

    Gradients are masked before the optimizer sees them, so the moments of a pruned
    weight stay 0; weights are masked after, so weight decay cannot revive one.
    `step` and `stats` are the task's to advance.
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
