"""Exact top-k selection: ties by index, at least one weight per layer."""

import jax
import jax.numpy as jnp
from jax import lax


def keep_best(
    scores: jax.Array, alive: jax.Array, num_keep: int | jax.Array, starts: list[int]
) -> tuple[jax.Array, jax.Array]:
    """Keeps the `num_keep` best of one pool, at least one per layer with survivors.

    Args:
      scores: float [total], higher = more salient; alive: bool [total], not yet pruned.
      num_keep: number to keep, at most the number alive (may be traced).
      starts: bounds of the layers in the pool.

    Returns:
      (kept, floored): bool [total] with exactly max(num_keep, layers with survivors)
      True; ties go to the lower index, and pruned weights stay pruned. Then the number
      of layers that keep a weight only because of the floor.
    """
    # NaN saliencies rank last among the alive; pruned weights rank after all others.
    scores = jnp.where(jnp.isnan(scores), -jnp.inf, scores.astype(jnp.float32))
    index = jnp.arange(scores.size)
    order = _best_first(scores, alive)
    rank = jnp.zeros_like(index).at[order].set(index)
    best_ranks = jnp.stack([rank[a:b].min() for a, b in zip(starts, starts[1:])])
    has_survivors = best_ranks < alive.sum()
    floored = jnp.sum((best_ranks >= num_keep) & has_survivors)
    num_floor = has_survivors.sum()
    num_keep = jnp.maximum(num_keep, num_floor)
    # The best survivor of every layer comes first; all others keep their order.
    best = jnp.zeros(scores.size, bool).at[order[best_ranks]].set(has_survivors)
    before = jnp.cumsum(best[order])  # best ones up to and including each rank
    final_rank = num_floor + jnp.arange(scores.size) - before
    kept_in_order = jnp.where(best[order], True, final_rank < num_keep)
    kept = jnp.zeros(scores.size, bool).at[order].set(kept_in_order)
    return kept & alive, floored


def _best_first(scores: jax.Array, alive: jax.Array) -> jax.Array:
    """Indices by (alive first, score descending, index ascending)."""
    index = jnp.arange(scores.size)
    return lax.sort((~alive, -scores, index), num_keys=3)[2]
