"""Moving average of weights, like a moment of Adam: starts at 0, bias-corrected.

It is part of `opt_state`, so a rewind resets it like every moment. Pruned weights are 0
in all terms of the sum, so they are exactly 0 in the average too.
"""

import math
from typing import TypeAlias

import jax
import jax.numpy as jnp

from gen_tickets.trees import Tree

#: "count": int32, averaged steps; "total": tree as the weights
Average: TypeAlias = dict[str, Tree]


def begin(params: Tree) -> Average:
    """The state of an average before the first update."""
    return {
        "count": jnp.zeros((), jnp.int32),
        "total": jax.tree.map(jnp.zeros_like, params),
    }


def update(average: Average, params: Tree, decay: float) -> Average:
    """Adds the weights after a step; 0 < decay < 1."""
    total = jax.tree.map(
        lambda t, x: decay * t + (1.0 - decay) * x, average["total"], params
    )
    return {"count": average["count"] + 1, "total": total}


def weights(average: Average, params: Tree, decay: float) -> Tree:
    """The average; `params` themselves before the first update."""
    count = average["count"]
    # 1 - decay^count without cancellation; the maximum keeps an unused branch finite.
    share = -jnp.expm1(jnp.maximum(count, 1) * math.log(decay))
    return jax.tree.map(
        lambda t, x: jnp.where(count > 0, t / share, x), average["total"], params
    )
