"""FLOPs of a training: of the dense network, masked, and compact.

The FLOPs of one step (`flops` states the convention) times the number of steps.

- dense: all multiplications of the full network, regardless of masks; the cost on
  hardware that cannot skip zeros.
- masked: without multiplications by pruned weights; the cost on hardware that skips
  them all.
- compact: the dense cost of the smaller network without the channels that the masks
  leave unused (`pruning.channels.used`); achievable without sparse kernels.
"""

import functools
from collections.abc import Callable, Mapping
from typing import TypeAlias

import jax

from gen_tickets.evaluation import flops
from gen_tickets.kernels.lowering import LIBRARY, Lowering
from gen_tickets.models import groups as groups_lib
from gen_tickets.pruning import channels, compact
from gen_tickets.pruning.channels import Groups
from gen_tickets.tasks.task import Task
from gen_tickets.trees import Tree

COLUMNS = ("flops_dense", "flops_masked", "flops_compact")


_Sizes: TypeAlias = Mapping[str, tuple[int, ...]]  # {component: channels}


class Costs:
    """The training costs of one experiment; each shape is counted once."""

    def __init__(
        self, build: Callable[[_Sizes | None, Lowering], Task], images: Tree
    ) -> None:
        """Counts at the first call.

        Args:
          build: ({component: channels} or None, lowering) -> task, as `tasks.build`
            does.
          images: the images of a step, or their shape.
        """
        self._build, self._images = build, images
        self._of_step = functools.cache(self._count)

    def _count(self, sizes: tuple[tuple[str, tuple[int, ...]], ...]) -> flops.Cost:
        return flops.of_step(self._build(dict(sizes), LIBRARY), self._images)

    @functools.cached_property
    def _whole(self) -> tuple[Groups, Tree]:
        """(channel groups, shapes of the statistics) of the full networks."""
        task = self._build(None, LIBRARY)
        networks = task.networks.items()
        groups = {name: groups_lib.of(network.module) for name, network in networks}
        return groups, jax.eval_shape(task.init, jax.random.key(0)).stats

    def of_training(
        self, masks: Tree, num_steps: int, extra: float = 0.0
    ) -> dict[str, float]:
        """FLOPs of a training with masks.

        Args:
          masks: of one member.
          num_steps: steps of the training.
          extra: further FLOPs, such as those of pruning.

        Returns:
          {column: FLOPs}, columns as in COLUMNS.
        """
        groups, stats = self._whole
        everything = channels.complete(groups, {})
        whole = self.of_step(compact.sizes(groups, everything))
        left = compact.sizes(groups, channels.used(groups, masks, stats))
        of_step = (
            whole.total(),
            whole.total(flops.kept_shares(masks)),
            self.of_step(left).total(),
        )
        totals = [num_steps * cost + extra for cost in of_step]
        return dict(zip(COLUMNS, totals, strict=True))

    def of_step(self, sizes: _Sizes) -> flops.Cost:
        """FLOPs of a step of networks with the given {component: channels}."""
        return self._of_step(tuple(sorted(sizes.items())))
