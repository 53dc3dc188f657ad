"""Saliencies: one number a weight, higher = keep.

Every score has the signature `score(task, params, stats, batches, key) -> tree as
params`, for one member. `batches` are training images, uint8 [B, N, H, W, C]; the
gradient is that of the task's own loss, the mean over the batches (of a GAN, each
network's gradient is that of its own objective). Only kernels are ever compared.
"""

import jax
import jax.numpy as jnp
from jax import lax

from gen_tickets import trees
from gen_tickets.pruning import masks as masks_lib

_FAINT = 1e-20  # see synflow


def magnitude(task, params, stats, batches, key):
    """|w|: the score of iterative magnitude pruning (paper, IMP)."""
    del task, stats, batches, key
    return jax.tree.map(jnp.abs, params)


def random(task, params, stats, batches, key):
    """Uniform in [0, 1): a mask that has learned nothing, as a baseline."""
    del task, stats, batches
    leaves, structure = jax.tree.flatten(params)
    keys = jax.random.split(key, len(leaves))
    drawn = [jax.random.uniform(k, x.shape) for k, x in zip(keys, leaves)]
    return jax.tree.unflatten(structure, drawn)


def _mean(function, batches, key):
    """Mean of function(batch, key) over batches, one after the other."""

    def add(total, i_and_batch):
        i, batch = i_and_batch
        value = function(batch, jax.random.fold_in(key, i))
        return jax.tree.map(jnp.add, total, value), None

    count = len(batches)
    shapes = jax.eval_shape(function, batches[0], key)
    zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
    total, _ = lax.scan(add, zeros, (jnp.arange(count), batches))
    return jax.tree.map(lambda x: x / count, total)


def _gradient(task, params, stats, batches, key):
    return _mean(
        lambda batch, key: jax.grad(task.loss)(params, stats, batch, key), batches, key
    )


def _times(a, b):
    return jax.tree.map(jnp.multiply, a, b)


def snip(task, params, stats, batches, key):
    """|w * g|: how much the loss moves as the mask of w does (Lee et al. 2019)."""
    g = _gradient(task, params, stats, batches, key)
    return jax.tree.map(jnp.abs, _times(params, g))


def grasp(task, params, stats, batches, key):
    """w * (H g): gradient flow that is lost with w (Wang et al. 2020).

    The paper's S = -w * (H g) says how much more flow there is without w; it removes
    the largest, so its negative is the saliency. g and H are those of the kernels that
    are not pruned (not 0).
    """
    g = _gradient(task, params, stats, batches, key)

    def of_kernel(name, g, w):
        return jnp.where(w != 0, g, 0) if masks_lib.is_kernel(name) else 0 * g

    g = trees.map_named(of_kernel, g, params)

    def hessian_times_g(batch, key):
        # Reverse over reverse: the convolutions' gradient rules have no forward mode.
        def along_g(params):
            grads = jax.grad(task.loss)(params, stats, batch, key)
            return sum(jax.tree.leaves(jax.tree.map(jnp.vdot, grads, g)))

        return jax.grad(along_g)(params)

    return _times(params, _mean(hessian_times_g, batches, key))


def synflow(task, params, stats, batches, key):
    """|w| * dR/d|w|, R = 1^T prod |W| 1: the flow through w (Tanaka et al. 2020).

    R is the sum of a network's outputs for an input of ones, with |w| for weights, no
    biases, and batch norm that divides by 1: no image is looked at. The input is
    scaled down, which scales all scores of a network alike, so that a tanh at its end
    is linear.
    """
    del batches, key
    still = {"mean": jnp.zeros_like, "var": jnp.ones_like}
    scores = {}
    for component, network in task.networks.items():
        ones = jnp.full((1, *network.input_shape), _FAINT)
        flowing = trees.map_named(
            lambda name, x: 0 * x if name.endswith("/bias") else jnp.abs(x),
            params[component],
        )
        fixed = trees.map_named(
            lambda name, x: still[name.rpartition("/")[2]](x), stats[component]
        )

        def flow(flowing):
            outputs = network.module.apply({"params": flowing, **fixed}, ones, False)
            return outputs.sum() / _FAINT

        scores[component] = _times(flowing, jax.grad(flow)(flowing))
    return scores


SCORES = {
    "magnitude": magnitude,
    "random": random,
    "snip": snip,
    "grasp": grasp,
    "synflow": synflow,
}
OF_IMAGES = ("snip", "grasp")  # those that look at the batches
