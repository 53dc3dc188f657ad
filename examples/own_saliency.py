"""A saliency of your own: LAMP (Lee et al. 2021).

python -m gen_tickets.main --config=examples/own_saliency.py
"""

import jax
import jax.numpy as jnp

from gen_tickets.config import registries
from gen_tickets.experiments import quickstart


@registries.saliency("lamp")
def lamp(params, task=None, stats=None, batches=None, key=None):
    """Square of a weight over those not smaller in its layer (Lee et al. 2021)."""

    def score(weights):
        squares = weights.ravel() ** 2
        order = jnp.argsort(squares)  # smallest first
        not_smaller = jnp.cumsum(squares[order][::-1])[::-1]
        shares = squares[order] / jnp.maximum(not_smaller, 1e-30)
        return jnp.zeros_like(squares).at[order].set(shares).reshape(weights.shape)

    return jax.tree.map(score, params)


def get_config(size="full"):
    config = quickstart.get_config(size)
    config.prune.method = "lamp"
    return config
