"""Saliencies: one number a weight, higher = keep.

Every score has the signature `score(params, key) -> tree as params`.
"""

import jax
import jax.numpy as jnp


def magnitude(params, key):
    """|w|: the score of iterative magnitude pruning (paper, IMP)."""
    del key
    return jax.tree.map(jnp.abs, params)


def random(params, key):
    """Uniform in [0, 1): a mask that has learned nothing, as a baseline."""
    leaves, structure = jax.tree.flatten(params)
    keys = jax.random.split(key, len(leaves))
    drawn = [jax.random.uniform(k, x.shape) for k, x in zip(keys, leaves)]
    return jax.tree.unflatten(structure, drawn)


SCORES = {"magnitude": magnitude, "random": random}
