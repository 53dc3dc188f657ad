"""Importance-sampled timesteps (Nichol & Dhariwal 2021, section 3.3).

Timestep t is drawn with a probability p_t proportional to the root mean square of its
last ten losses. Its loss is divided by T p_t, which keeps the mean of uniform
timesteps. Timesteps are uniform until each has ten losses, and in 0.1 % of the draws.
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
    """The probability of each timestep, [T]."""
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
    """Records the losses of a batch in order; both arguments [N]."""
    is_same = steps[:, None] == steps[None, :]
    order = jnp.arange(len(steps))
    before = (is_same & (order[None, :] < order[:, None])).sum(1)
    after = is_same.sum(1) - 1 - before
    slot = (history.num_seen[steps] + before) % NUM_KEPT
    # A loss that later ones of the same batch replace is not written, because the order
    # of two writes to the same index is undefined.
    slot = jnp.where(after < NUM_KEPT, slot, NUM_KEPT)
    return History(
        history.losses.at[steps, slot].set(losses, mode="drop"),
        history.num_seen.at[steps].add(1),
    )
