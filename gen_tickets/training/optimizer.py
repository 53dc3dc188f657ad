"""The optimizer of one component, from `config.optimizer`."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from gen_tickets import trees
from gen_tickets.config import registries
from gen_tickets.errors import UserError
from gen_tickets.pruning import masks as masks_lib
from gen_tickets.trees import Tree


@registries.optimizer("adam")
def adam(
    options: ConfigDict, decay: optax.GradientTransformation
) -> tuple[optax.GradientTransformation, ...]:
    """Adam with weight decay added to the gradient, as in PyTorch (the paper)."""
    return decay, optax.scale_by_adam(b1=options.b1, b2=options.b2)


@registries.optimizer("adamw")
def adamw(
    options: ConfigDict, decay: optax.GradientTransformation
) -> tuple[optax.GradientTransformation, ...]:
    """Adam with weight decay decoupled from the moments."""
    return optax.scale_by_adam(b1=options.b1, b2=options.b2), decay


@registries.optimizer("sgd", options=("optimizer.b1",))
def sgd(
    options: ConfigDict, decay: optax.GradientTransformation
) -> tuple[optax.GradientTransformation, ...]:
    """Gradient descent with momentum b1 and weight decay added to the gradient."""
    return decay, optax.trace(options.b1)


@registries.rate_schedule("constant")
def constant(options: ConfigDict, num_steps: int) -> optax.Schedule:
    """Constant learning rate."""
    del num_steps
    return optax.constant_schedule(options.learning_rate)


@registries.rate_schedule("cosine")
def cosine(options: ConfigDict, num_steps: int) -> optax.Schedule:
    """Half a cosine, which decays to 0 at the last step."""
    return optax.cosine_decay_schedule(options.learning_rate, max(num_steps, 1))


def _scale_by(rate: optax.Schedule) -> optax.GradientTransformationExtraArgs:
    """Scales by minus the learning rate of the training step, given to `update`.

    `step` is that of the training state, not the optimizer's own count: a rewound
    ticket continues with the rate of step k, and all discriminator updates of a step
    have the same rate.
    """

    def update(
        updates: Tree,
        state: Any,
        params: Tree = None,
        *,
        step: jax.Array,
        **others: Any
    ) -> tuple[Tree, Any]:
        del params, others
        scale = -rate(step)
        return jax.tree.map(lambda x: scale * x, updates), state

    return optax.GradientTransformationExtraArgs(
        lambda params: optax.EmptyState(), update
    )


def _add_scale_l1(coefficient: float) -> optax.GradientTransformation:
    """Adds the gradient of coefficient * sum |gamma| over batch-norm scales."""

    def add(updates: Tree, params: Tree) -> Tree:
        def of_leaf(name: str, update: jax.Array, x: jax.Array) -> jax.Array:
            is_scale = name.rpartition("/")[2] == "scale"
            return update + coefficient * jnp.sign(x) if is_scale else update

        return trees.map_named(of_leaf, updates, params)

    return optax.stateless(add)


def make(options: ConfigDict, num_steps: int) -> optax.GradientTransformationExtraArgs:
    """Builds the optimizer; its `update` takes step=state.step.

    The L1 penalty of the batch-norm scales is a term of the loss for early-bird tickets
    (You et al. 2020).

    Args:
      options: `config.optimizer`.
      num_steps: training steps, for the learning-rate schedule.
    """
    decay = optax.add_decayed_weights(options.weight_decay)
    chain = registries.optimizer.get(options.name).transformations(options, decay)
    schedule = registries.rate_schedule.get(options.schedule).schedule
    chain = (*chain, _scale_by(schedule(options, num_steps)))
    if options.scale_l1 > 0.0:
        chain = (_add_scale_l1(options.scale_l1), *chain)
    if options.weight_decay == 0.0:
        chain = tuple(part for part in chain if part is not decay)
    return optax.chain(*chain)


def wrap_optax(
    optimizer: optax.GradientTransformation, masks: Tree
) -> optax.GradientTransformationExtraArgs:
    """Wraps an optimizer so that pruned weights are exactly 0 after every update.

    Gradients are masked before the optimizer sees them, so the moments of a pruned
    weight stay 0. The update of a pruned weight is its negative value, so neither
    weight decay nor unmasked initial weights matter.

    Args:
      optimizer: any Optax optimizer; call `update` with the weights.
      masks: bool, with the structure and shapes of the weights.

    Raises:
      UserError: by `update`, if it is called without the weights.
    """
    inner = optax.with_extra_args_support(optimizer)

    def update(
        grads: Tree, state: Any, params: Tree = None, **extra: Any
    ) -> tuple[Tree, Any]:
        if params is None:
            raise UserError(
                "params=None",
                "the update of a masked optimizer depends on the weights",
                "call update(grads, state, params)",
            )
        updates, state = inner.update(
            masks_lib.apply(masks, grads), state, params, **extra
        )
        return (
            jax.tree.map(
                lambda mask, update, x: jnp.where(mask, update, -x),
                masks,
                updates,
                params,
            ),
            state,
        )

    return optax.GradientTransformationExtraArgs(inner.init, update)
