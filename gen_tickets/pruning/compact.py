"""Physical removal of channels: reduces the state of a network to a ticket's channels.

Paper, Section 3.4. The kept kernels, biases, batch norms with their statistics,
spectral vectors and optimizer moments keep their values; nothing is reinitialized.

A custom model must provide `ChannelGroups` of its layers (`models.groups`) and name its
leaves as Flax does: "kernel" with inputs and outputs as its last two axes, "bias", and
"scale", "bias", "mean", "var" for batch norms. A tree without components needs one:
{"mlp": params}.
"""

import jax
import numpy as np
from jaxtyping import Array

from gen_tickets import trees
from gen_tickets.pruning import channels
from gen_tickets.pruning.channels import Groups, Masks
from gen_tickets.training import state as state_lib
from gen_tickets.training.state import TrainState
from gen_tickets.trees import Tree


def sizes(groups: Groups, masks: Masks) -> dict[str, tuple[int, ...]]:
    """{component: channels left in each group, in the order of its groups}."""
    return {
        component: tuple(
            int(np.sum(masks[component][group.name])) for group in of_component.groups
        )
        for component, of_component in groups.items()
    }


def cut(groups: Groups, masks: Masks, tree: Tree) -> Tree:
    """Removes channels from weights or from statistics.

    Args:
      groups: {component: ChannelGroups} of the full networks.
      masks: complete channel masks, {component: {group: bool [channels]}}.
      tree: `params` or `stats`, first level = component.

    Raises:
      ValueError: a group has no channel left, or the groups do not fit the tree.
    """
    masks = jax.tree.map(np.asarray, masks)
    for component, left in sizes(groups, masks).items():
        if min(left, default=1) == 0:
            raise ValueError(f"{component}: channels left {left}")

    def cut_component(component: str, tree: Tree) -> Tree:
        claimed = channels.claims(groups[component], tree)

        def cut_leaf(name: str, leaf: Array | np.ndarray) -> Array | np.ndarray:
            for claim in claimed[name]:
                mask = masks[component][claim.group]
                line = np.tile(mask, leaf.shape[claim.axis] // mask.size)
                leaf = leaf.take(np.flatnonzero(line), claim.axis)
            return leaf

        return trees.map_named(cut_leaf, tree)

    return {component: cut_component(component, tree[component]) for component in tree}


def compact(
    groups: Groups, masks: Masks, state: TrainState
) -> tuple[dict[str, tuple[int, ...]], TrainState]:
    """Removes channels from a training state.

    Args:
      groups, masks: as in `cut`.
      state: TrainState of one member.

    Returns:
      (sizes, state): `tasks.build(..., channels=sizes)` continues with this state.

    Raises:
      ValueError: a group has no channel left, or the groups do not fit the state.
    """

    def cut_moments(component: str, tree: Tree) -> Tree:
        return cut(groups, masks, {component: tree})[component]

    return sizes(groups, masks), state._replace(
        params=cut(groups, masks, state.params),
        stats=cut(groups, masks, state.stats),
        opt_state=state_lib.map_like_params(cut_moments, state),
    )
