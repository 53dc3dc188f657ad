"""A loop that trains the arms of a population in turn, by the programs of one arm.

On a CPU members train one after another anyway, so rounds of several arms can use the
programs that are compiled for the dense networks. An arm is copied in and out, which is
faster than compiling another program only for a small population.
"""

from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float, Int, Key

from gen_tickets import trees
from gen_tickets.tasks.task import Examples, Metrics
from gen_tickets.training.loop import Loop
from gen_tickets.training.population import Population
from gen_tickets.training.state import TrainState
from gen_tickets.trees import Masks, Tree

# Weights of a population. With 2.8 M, as in the quickstart, a round took 32 instead of
# 27 s on one core: copying cost more than the compilation that it saved.
_SMALL = 2**21


def is_faster(population: Population, params: Tree) -> bool:
    """Whether a population is small and trains on a single CPU device.

    Args:
      population: of several arms.
      params: weights of one member, or their shapes.
    """
    platforms = [device.platform for device in population.layout.devices]
    num_weights = population.num_members * trees.num_weights(params)
    return platforms == ["cpu"] and num_weights <= _SMALL


def in_turn(loop: Loop, size: int) -> Loop:
    """The loop of a population of any multiple of `size` members, with equal results.

    Args:
      loop: from `training.loop.make_loop`, for one device; its examples are not
        streamed.
      size: members of an arm, for which `loop` is compiled.
    """

    def stretch(
        state: TrainState,
        totals: Metrics,
        masks: Masks,
        examples: Examples,
        order: Int[Array, "rows members batch"],
        keys: Key[Array, " members"],
        num_steps: int,
    ) -> tuple[Tree, ...]:
        trained = []
        for rows in _arms(len(keys), size):
            population = _take((state, totals, masks), rows)
            order_of_arm = _take(order, (slice(None), rows))
            keys_of_arm = _take(keys, rows)
            trained.append(
                loop.stretch(
                    *population, examples, order_of_arm, keys_of_arm, num_steps
                )
            )
        return _join(trained)

    def evaluate(
        state: TrainState,
        examples: Examples,
        weights: Float[Array, "batches batch"],
        keys: Key[Array, " members"],
    ) -> Metrics:
        return _join(
            [
                loop.evaluate(_take(state, rows), examples, weights, _take(keys, rows))
                for rows in _arms(len(keys), size)
            ]
        )

    return Loop(stretch, evaluate)


def _arms(num_members: int, size: int) -> list[slice]:
    return [slice(start, start + size) for start in range(0, num_members, size)]


def _take(tree: Tree, index: Any) -> Tree:
    """A part of every array, as copies that are placed like the arrays."""

    def take(x: Array) -> Array | np.ndarray:
        if jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key):
            return x[index]
        return np.array(np.asarray(x)[index])  # on the host, which compiles nothing

    return jax.device_put(jax.tree.map(take, tree), _shardings(tree))


def _join(trees: list[Tree]) -> Tree:
    """The arms of a population, joined along axis 0."""
    joined = jax.tree.map(lambda *arms: np.concatenate(arms), *trees)
    return jax.device_put(joined, _shardings(trees[0]))


def _shardings(tree: Tree) -> Tree:
    return jax.tree.map(lambda x: x.sharding, tree)
