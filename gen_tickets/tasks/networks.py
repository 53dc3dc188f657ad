"""Initializing and running the networks of a task: their weights and statistics.

stats[component] = {collection: tree} has every linen collection of a network besides
its weights: "batch_stats" (running mean and variance) and "spectral" (the vectors of
the power iteration). A network without any has {}.
"""

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from gen_tickets.trees import Tree

BATCH_NORM = "batch_stats"
ALL = (BATCH_NORM, "spectral")


class Network(NamedTuple):
    """The network of a component."""

    #: called as module(x, train); further arguments have defaults
    module: nn.Module
    input_shape: tuple[int, ...]  #: of one example


def init(
    networks: Mapping[str, Network], key: Key[Array, ""]
) -> tuple[dict[str, Tree], dict[str, Tree]]:
    """Initializes the weights of every component; component i uses fold_in(key, i).

    Returns:
      (params, stats), first level = component.
    """
    params, stats = {}, {}
    for i, (component, network) in enumerate(networks.items()):
        x = jnp.zeros((1, *network.input_shape))
        variables = network.module.init(jax.random.fold_in(key, i), x, False)
        params[component] = variables.pop("params")
        stats[component] = variables
    return params, stats


def apply(
    module: nn.Module,
    params: Tree,
    stats: Mapping[str, Tree],
    x: Float[Array, "n ..."],
    train: bool,
    advance: Collection[str] = (),
    **further: Any,
) -> tuple[Tree, dict[str, Tree]]:
    """Runs one network.

    Args:
      module: the network; params, stats: its own, without the level of components.
      x: its input [N, ...].
      train: batch norm normalises with this batch's statistics, else the running ones.
      advance: collections to update (ALL in training); all others stay unchanged.
      **further: inputs of the network besides x, by name, and `rngs` of its dropout.

    Returns:
      (output, updated stats).
    """
    # Batch norm updates its running statistics in every training pass: allow this, but
    # keep the update only on request.
    mutable = [
        name for name in stats if name in advance or (train and name == BATCH_NORM)
    ]
    variables = {"params": params, **stats}
    output, changed = module.apply(variables, x, train, mutable=mutable, **further)
    return output, {**stats, **{n: changed[n] for n in changed if n in advance}}
