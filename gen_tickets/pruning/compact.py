"""Physical removal of channels: a network's state cut down to what a ticket keeps.

Paper, "Early-bird tickets". Kernels, biases, batch norm with its statistics, spectral
vectors and optimizer moments all go on with the values they had; nothing starts anew.
"""

import jax
import numpy as np

from gen_tickets import trees
from gen_tickets.pruning import channels


def sizes(groups, masks) -> dict[str, tuple[int, ...]]:
    """{component: channels left in each group, in the order of its groups}."""
    return {
        component: tuple(
            int(np.sum(masks[component][group.name])) for group in of_component.groups
        )
        for component, of_component in groups.items()
    }


def compact(groups, masks, state):
    """Cuts channels out of a training state.

    Args:
      groups: {component: ChannelGroups} of the whole networks.
      masks: complete channel masks, {component: {group: bool [channels]}}.
      state: TrainState of one member.

    Returns:
      (sizes, state): `tasks.build(..., channels=sizes)` trains the small state on.

    Raises:
      ValueError: a group has no channel left.
    """
    masks = jax.tree.map(np.asarray, masks)
    small = sizes(groups, masks)
    for component, of_component in groups.items():
        if min(small[component], default=1) == 0:
            raise ValueError(f"{component}: channels left {small[component]}")

    def cut(component, tree):
        claimed = channels.claims(groups[component], tree)

        def cut_leaf(name, leaf):
            for claim in claimed[name]:
                mask = masks[component][claim.group]
                line = np.tile(mask, leaf.shape[claim.axis] // mask.size)
                leaf = leaf.take(np.flatnonzero(line), claim.axis)
            return leaf

        return trees.map_named(cut_leaf, tree)

    def cut_all(tree):
        return {component: cut(component, tree[component]) for component in tree}

    def cut_moments(name, tree):
        """Whatever in an optimizer state has the shape of a component's weights."""
        component = next(c for c in groups if name == c or name.startswith(f"{c}_"))
        structure = jax.tree.structure(state.params[component])

        def is_like_params(tree):
            return jax.tree.structure(tree) == structure

        return jax.tree.map(
            lambda x: cut(component, x) if is_like_params(x) else x,
            tree,
            is_leaf=is_like_params,
        )

    opt_state = {
        name: cut_moments(name, tree) for name, tree in state.opt_state.items()
    }
    return small, state._replace(
        params=cut_all(state.params), stats=cut_all(state.stats), opt_state=opt_state
    )
