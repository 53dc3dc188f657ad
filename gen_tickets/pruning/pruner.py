"""Prunes a population: scores the weights of every run and selects those to keep.

One compiled function for all runs and rounds combines the saliencies of
`pruning.saliency` with the exact selection of `pruning.masks`.
"""

from collections.abc import Sequence

import jax
import ml_collections
from jax import lax
from jaxtyping import Array, Int, Key, UInt8

from gen_tickets import trees
from gen_tickets.config import registries
from gen_tickets.evaluation import flops
from gen_tickets.pruning import masks as masks_lib
from gen_tickets.tasks.task import Task
from gen_tickets.training.state import TrainState
from gen_tickets.trees import Masks, Tree


class Pruner:
    """Scoring and selection for one task; `names` are its prunable leaves.

    `prune` is `_prune`, compiled.
    """

    def __init__(
        self, config: ml_collections.ConfigDict, task: Task, shapes: TrainState
    ) -> None:
        """Compiles nothing yet.

        Args:
          config: validated options.
          task: its loss may be used by a saliency.
          shapes: state of one member, or its shapes.

        Raises:
          UserError: prune.components or prune.exclude do not fit the networks.
        """
        self._config, self._task, self._shapes = config.prune, task, shapes
        self._saliency = registries.saliency.get(config.prune.method)
        self.looks_at_images = self._saliency.of_images
        self.names = masks_lib.prunable_names(
            shapes.params, config.prune.components, config.prune.exclude
        )
        leaves = trees.named_leaves(shapes.params)
        pools = masks_lib.pools(self.names, config.prune.scope)
        self._pool_sizes = [sum(leaves[name].size for name in pool) for pool in pools]
        self._floors = [len(pool) for pool in pools]  # one weight a layer
        self.prune = jax.jit(self._prune)

    def num_keep(self, round_number: int) -> list[int]:
        """Prunable weights left in a round, one number per pool of `prune.scope`."""
        sparsities, fraction = (0.0, *self._config.sparsities), self._config.fraction
        if len(sparsities) > 1:
            density = 1 - sparsities[round_number]
            return [round(size * density) for size in self._pool_sizes]
        return [
            masks_lib.keep_count(size, fraction, round_number)
            for size in self._pool_sizes
        ]

    def repeated_rounds(self, num_rounds: int) -> list[int]:
        """Rounds up to `num_rounds` in which there is no weight left to prune.

        Their masks and winning tickets equal those of the previous round.
        """

        def kept(round_number: int) -> list[int]:
            counts = zip(self.num_keep(round_number), self._floors, strict=True)
            return [max(count, floor) for count, floor in counts]

        return [r for r in range(1, num_rounds + 1) if kept(r) == kept(r - 1)]

    def _prune(
        self,
        params: Tree,
        stats: Tree,
        masks: Masks,
        num_keep: Sequence[int | Array],
        keys: Key[Array, " runs"],
        images: UInt8[Array, "n h w c"] | None,
        rows: Int[Array, "runs batches batch"] | None,
    ) -> tuple[Masks, Int[Array, " runs"]]:
        """Masks of the most salient weights, and the number of floored layers.

        Args:
          params, stats: to be scored, [R, ...]; masks: the current ones.
          num_keep: weights left, one number per pool; keys: [R].
          images, rows: for saliencies that use images, uint8 [N, H, W, C] and indices,
            int32 [R, prune.batches, batch]; else None.

        Returns:
          (masks, floored): masks [R, ...] and int32 [R].
        """
        scores = self._score(params, stats, keys, images, rows)

        def select(scores: Tree, masks: Masks) -> tuple[Masks, Int[Array, ""]]:
            scope = self._config.scope
            return masks_lib.select(scores, masks, self.names, num_keep, scope)

        return jax.vmap(select)(scores, masks)

    def _score(
        self,
        params: Tree,
        stats: Tree,
        keys: Key[Array, " runs"],
        images: UInt8[Array, "n h w c"] | None,
        rows: Int[Array, "runs batches batch"] | None,
    ) -> Tree:
        """Saliencies [R, ...] of every weight."""

        def score(of_run: tuple[Tree, Tree, Array, Array | None]) -> Tree:
            params, stats, key, rows = of_run
            batches = None if images is None else images[rows]
            return self._saliency.score(params, self._task, stats, batches, key=key)

        runs = params, stats, keys, rows
        if self.looks_at_images:  # Takes the memory of a training step: one at a time.
            return lax.map(score, runs)
        return jax.vmap(score)(runs)

    def flops(self, keys: Tree, images: Tree, rows: Tree) -> float:
        """FLOPs of scoring and selection for one run; arguments as in `prune`."""

        def one_run(x: jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
            return jax.ShapeDtypeStruct((1, *x.shape), x.dtype)

        params = jax.tree.map(one_run, self._shapes.params)
        stats = jax.tree.map(one_run, self._shapes.stats)
        masks = jax.eval_shape(masks_lib.dense, params)
        keys, rows = jax.tree.map(lambda x: x[:1], (keys, rows))
        return flops.count(
            *(self._prune, params, stats, masks),
            *(self.num_keep(1), keys, images, rows),
        )
