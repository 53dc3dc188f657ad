"""Channel masks of an early-bird search, and the channels that it may prune."""

import dataclasses
from collections.abc import Mapping

import jax
from jaxtyping import Array, Bool

from gen_tickets.errors import UserError
from gen_tickets.models import groups as groups_lib
from gen_tickets.pruning import channels
from gen_tickets.pruning import masks as masks_lib
from gen_tickets.pruning.channels import Groups
from gen_tickets.tasks.networks import Network
from gen_tickets.trees import Tree


@dataclasses.dataclass(frozen=True)
class ChannelPruner:
    """Channel masks of one task's networks, by |gamma| of their norm layers."""

    groups: Groups
    components: tuple[str, ...]  #: that may be pruned
    scope: str  #: whether scores of all components are pooled
    num_keep: tuple[int, ...]  #: channels kept, one number per pool

    def scores(self, params: Tree) -> dict[str, dict[str, Array]]:
        """|gamma| of the channels that may be pruned."""
        scores = channels.scores(self.groups, params)
        return {name: of for name, of in scores.items() if name in self.components}

    def draw(self, params: Tree) -> Bool[Array, " channels"]:
        """The channel mask for these weights, bool [channels]."""
        return channels.flatten(self._select(self.scores(params)))

    def kept(self, params: Tree, multiple: int) -> channels.Masks:
        """The channel masks of a ticket; layers have a multiple of channels, or all."""
        scores = self.scores(params)
        multiples = channels.multiples(self.groups, params, multiple)
        of_scored = {component: multiples[component] for component in scores}
        return channels.round_up(scores, self._select(scores), of_scored)

    def _select(self, scores: channels.Scores) -> dict[str, dict[str, Array]]:
        return channels.select(scores, list(self.num_keep), self.scope)


def make(
    networks: Mapping[str, Network],
    params: Tree,
    components: tuple[str, ...],
    fraction: float,
    scope: str,
) -> ChannelPruner:
    """Makes the channel pruner of a task.

    Args:
      networks: {component: `tasks.networks.Network`}.
      params: of one member, or their shapes.
      components: that may be pruned; () = all.
      fraction: fraction of the channels to prune.
      scope: "global" pools the channels of all components.

    Raises:
      UserError: a component that the task does not have, or no norm layer.
    """
    masks_lib.prunable_names(params, components)
    groups = {name: groups_lib.of(x.module) for name, x in networks.items()}
    everything = ChannelPruner(groups, components or tuple(networks), scope, ())
    scores = jax.eval_shape(everything.scores, params)
    sizes = channels.num_channels(scores, scope)
    if not sum(sizes):
        raise UserError(
            "prune.schedule='early_bird'",
            "the model has no batch norm or group norm whose channels are scored",
            "give model.name=convstack, resnet or unet",
        )
    num_keep = tuple(masks_lib.keep_count(size, fraction, 1) for size in sizes)
    return dataclasses.replace(everything, num_keep=num_keep)
