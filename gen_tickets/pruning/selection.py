"""Exact top-k selection: ties by index, at least one weight per layer."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int


def keep_best(
    scores: Float[Array, " total"],
    alive: Bool[Array, " total"],
    num_keep: Int[Array, " pools"],
    sizes: Sequence[Sequence[int]],
) -> tuple[Bool[Array, " total"], Int[Array, ""]]:
    """Keeps the `num_keep` best of each pool, at least one per layer with survivors.

    All pools are ranked by one sort, because a sort takes long to compile.

    Args:
      scores: higher = more salient; alive: not yet pruned. Both pool after pool.
      num_keep: number to keep of each pool, at most the number alive (may be traced).
      sizes: of the layers of each pool.

    Returns:
      (kept, floored): in every pool exactly max(num_keep, layers with survivors) True;
      ties go to the lower index, and pruned weights stay pruned. Then the number of
      layers that keep a weight only because of the floor.
    """
    pool_sizes = [sum(of_pool) for of_pool in sizes]
    layer_sizes = [size for of_pool in sizes for size in of_pool]
    pool_of_layer = np.repeat(np.arange(len(sizes)), [len(x) for x in sizes])
    pool, layer = _labels(pool_sizes), _labels(layer_sizes)  # of every element
    first_rank = jnp.asarray(np.cumsum(pool_sizes) - pool_sizes)  # of a pool

    def per_pool(values: Array, pools: Array | np.ndarray) -> Int[Array, " pools"]:
        counts = values.astype(jnp.int32)
        return jax.ops.segment_sum(counts, pools, len(sizes), indices_are_sorted=True)

    # NaN saliencies rank last among the alive; pruned weights rank after all others.
    scores = jnp.where(jnp.isnan(scores), -jnp.inf, scores.astype(jnp.float32))
    order = _best_first(scores, alive, pool)
    index = jnp.arange(scores.size)
    rank = jnp.zeros_like(index).at[order].set(index)
    best_ranks = jax.ops.segment_min(
        rank, layer, len(layer_sizes), indices_are_sorted=True
    )
    best_in_pool = best_ranks - first_rank[pool_of_layer]
    has_survivors = best_in_pool < per_pool(alive, pool)[pool_of_layer]
    floored = jnp.sum((best_in_pool >= num_keep[pool_of_layer]) & has_survivors)
    num_floor = per_pool(has_survivors, pool_of_layer)
    num_keep = jnp.maximum(num_keep, num_floor)
    # The best survivor of every layer comes first; all others keep their order.
    best = jnp.zeros(scores.size, bool).at[order[best_ranks]].set(has_survivors)
    best = best[order]  # by rank, as all below
    before = jnp.cumsum(best)  # best ones up to and including each rank
    before -= (before - best)[first_rank][pool]  # of the same pool
    final_rank = num_floor[pool] + (index - first_rank[pool]) - before
    kept_in_order = jnp.where(best, True, final_rank < num_keep[pool])
    kept = jnp.zeros(scores.size, bool).at[order].set(kept_in_order)
    return kept & alive, floored


def _labels(sizes: Sequence[int]) -> Int[Array, " total"]:
    """[0, 0, 1, 1, 1] for (2, 3); not a constant, of which programs would hold all."""
    return jnp.concatenate([jnp.full(n, i, jnp.int32) for i, n in enumerate(sizes)])


def _best_first(
    scores: Float[Array, " total"],
    alive: Bool[Array, " total"],
    pool: Int[Array, " total"],
) -> Int[Array, " total"]:
    """Indices by (pool, alive first, score descending, index ascending)."""
    group = 2 * pool + ~alive
    return lax.sort((group, -scores, jnp.arange(scores.size)), num_keys=3)[2]
