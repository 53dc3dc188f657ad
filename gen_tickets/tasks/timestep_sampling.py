"""Importance-sampled timesteps (Nichol & Dhariwal 2021, section 3.3).

Timestep t is drawn in proportion to the root mean square of its last ten losses, and
its loss divided by T p_t, so that the mean stays that of uniform timesteps. Until every
timestep has ten losses, and in a thousandth of the draws, timesteps are uniform.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

NUM_KEPT = 10
_UNIFORM_SHARE = 1e-3  # as in their code


class History(NamedTuple):
    """The last losses of every timestep."""

    losses: jax.Array  #: float [T, NUM_KEPT]
    num_seen: jax.Array  #: int32 [T]


def begin(num_steps: int) -> History:
    """The history of a training that has seen no loss."""
    return History(jnp.zeros((num_steps, NUM_KEPT)), jnp.zeros((num_steps,), jnp.int32))


def probabilities(history: History) -> jax.Array:
    """How likely each timestep is drawn, [T]."""
    num_steps = len(history.num_seen)
    root = jnp.sqrt(jnp.mean(history.losses**2, 1))
    share = root / jnp.maximum(root.sum(), jnp.finfo(root.dtype).tiny)
    share = share * (1 - _UNIFORM_SHARE) + _UNIFORM_SHARE / num_steps
    is_full = (history.num_seen >= NUM_KEPT).all()
    return jnp.where(is_full, share, 1 / num_steps)


def draw(history: History, key: jax.Array, count: int) -> tuple[jax.Array, jax.Array]:
    """(timesteps int32 [count], factors of their losses 1 / (T p_t), [count])."""
    share = probabilities(history)
    steps = jax.random.categorical(key, jnp.log(share), shape=(count,))
    return steps, 1 / (len(share) * share[steps])


def note(history: History, steps: jax.Array, losses: jax.Array) -> History:
    """Takes in the losses of a batch, one after the other; both arguments [N]."""
    is_same = steps[:, None] == steps[None, :]
    order = jnp.arange(len(steps))
    before = (is_same & (order[None, :] < order[:, None])).sum(1)
    after = is_same.sum(1) - 1 - before
    slot = (history.num_seen[steps] + before) % NUM_KEPT
    # A loss that later ones of the same batch push out is not written: of two writes to
    # one place either may win.
    slot = jnp.where(after < NUM_KEPT, slot, NUM_KEPT)
    return History(
        history.losses.at[steps, slot].set(losses, mode="drop"),
        history.num_seen.at[steps].add(1),
    )
