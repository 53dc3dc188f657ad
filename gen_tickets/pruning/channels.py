"""Channel masks: which channels of a network an early-bird ticket keeps.

Paper, Section 3.4: the saliency of a channel is |gamma| of its batch norm or group
norm; if a channel has several, as in residual sums, the largest. Removing a channel
removes all weights that produce it and all that consume it. Masks are {component:
{group: bool [channels]}}, True = kept; the groups come from the networks'
`channel_groups` (`models.groups`), one `ChannelGroups` per component.
"""

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from gen_tickets import trees
from gen_tickets.models.groups import ChannelGroups
from gen_tickets.pruning import masks as masks_lib
from gen_tickets.trees import Tree

Groups: TypeAlias = Mapping[str, ChannelGroups]  # {component: ...}
# {component: {group: [channels]}}
Scores: TypeAlias = Mapping[str, Mapping[str, Array]]
Mask: TypeAlias = Bool[Array | np.ndarray, " _"]
Masks: TypeAlias = Mapping[str, Mapping[str, Mask]]


class Claim(NamedTuple):
    """An axis that holds a group's channels; position i holds channel i % size."""

    axis: int  #: from the end: -1 or -2
    group: str
    is_use: bool  #: whether the axis uses the channels or produces them


def _layer_claims(groups: ChannelGroups, name: str) -> list[Claim]:
    """All claims on a leaf of `params` or `stats`, with axes from the end."""
    # "conv_0/kernel" and "spectral/conv_0/norm/u" both belong to the layer conv_0.
    collection, _, rest = name.partition("/")
    in_stats = collection in ("batch_stats", "spectral")
    layer, _, leaf = (rest if in_stats else name).rpartition("/")
    if collection == "spectral":
        layer = layer.removesuffix("/norm")
    makes = leaf in ("kernel", "bias", "u")
    uses = {"kernel": -2, "v": -1}
    claims = []
    for group in groups.groups:
        if (makes and layer in group.makers) or layer in group.norms:
            claims.append(Claim(-1, group.name, False))
        if leaf in uses and layer in group.users:
            claims.append(Claim(uses[leaf], group.name, True))
    if makes and layer in groups.outputs:
        claims.append(Claim(-1, "", False))
    if leaf in uses and layer in groups.inputs:
        claims.append(Claim(uses[leaf], "", True))
    return claims


def claims(groups: ChannelGroups, tree: Tree) -> dict[str, tuple[Claim, ...]]:
    """Which axes of which leaves hold the channels of a network.

    Args:
      groups: ChannelGroups of one component.
      tree: its `params` or its `stats`.

    Returns:
      {leaf: claims on the axes that may be cut}.

    Raises:
      ValueError: an axis is claimed by no group or by two, or its length is not a
        multiple of the group's channels.
    """
    sizes = {group.name: group.size for group in groups.groups}
    if not (groups.groups or groups.inputs or groups.outputs):  # see `groups.of`
        return dict.fromkeys(trees.named_leaves(tree), ())
    found = {}
    for name, leaf in trees.named_leaves(tree).items():
        of_leaf = _layer_claims(groups, name)
        due = {-1, -2} if name.endswith("/kernel") else {-1}
        if sorted(claim.axis for claim in of_leaf) != sorted(due):
            raise ValueError(f"{name}: claimed {of_leaf}, due once: axes {due}")
        found[name] = tuple(claim for claim in of_leaf if claim.group)
        for claim in found[name]:
            if leaf.shape[claim.axis] % sizes[claim.group]:
                raise ValueError(f"{name} {leaf.shape}: does not hold {claim}")
    return found


def scores(groups: Groups, params: Tree) -> dict[str, dict[str, Float[Array, " _"]]]:
    """|gamma| of every channel that has a norm layer.

    Args:
      groups: {component: ChannelGroups}.
      params: weights of one member.

    Returns:
      {component: {group: float [channels]}}, without groups that have no norm layer.
    """
    found = {}
    for component, of_component in groups.items():
        leaves = trees.named_leaves(params[component])
        found[component] = {
            group.name: jnp.concatenate(
                [
                    jnp.abs(leaves[f"{norm}/scale"]).reshape(-1, group.size)
                    for norm in group.norms
                ]
            ).max(0)
            for group in of_component.groups
            if group.norms
        }
    return found


def num_channels(scores: Tree, scope: str) -> list[int]:
    """The number of channels in each pool that `select` ranks."""
    leaves = trees.named_leaves(scores)
    return [
        sum(leaves[name].size for name in pool)
        for pool in masks_lib.pools(tuple(leaves), scope)
    ]


def select(
    scores: Scores, num_keep: Iterable[int | jax.Array], scope: str = "global"
) -> dict[str, dict[str, Bool[Array, " _"]]]:
    """Keeps the most salient channels.

    Args:
      scores: from `scores`.
      num_keep: channels to keep in each pool; may be traced.
      scope: "global" pools all channels (paper), "component" those of a component,
        "layer" those of a group.

    Returns:
      masks of the scored groups, with exactly num_keep channels per pool, or one per
      group if that is more; ties go to the lower index.
    """
    everything = jax.tree.map(lambda x: jnp.ones(x.shape, bool), scores)
    names = tuple(trees.named_leaves(scores))
    return masks_lib.select(scores, everything, names, num_keep, scope)[0]


def multiples(groups: Groups, params: Tree, multiple: int) -> dict[str, dict[str, int]]:
    """{component: {group: the number whose multiples give widths of `multiple`}}.

    It is smaller where one channel of a group is several of a layer, as are those of a
    group of group norm. Groups without a norm layer are left out.

    Args:
      groups: {component: ChannelGroups}.
      params: weights of one member, or their shapes.
      multiple: of the channels of layers, 1 or more.
    """
    found = {}
    for component, of_component in groups.items():
        leaves = trees.named_leaves(params[component])
        widths = {
            group.name: leaves[f"{group.norms[0]}/scale"].size // group.size
            for group in of_component.groups
            if group.norms
        }
        found[component] = {
            name: multiple // math.gcd(multiple, width)
            for name, width in widths.items()
        }
    return found


def round_up(
    scores: Scores, masks: Masks, multiples: Mapping[str, Mapping[str, int]]
) -> Masks:
    """Rounds the kept channels of each group up to a multiple, or all, by score."""

    def widen(
        score: Float[Array, " n"], mask: Bool[Array, " n"], multiple: int
    ) -> Bool[Array, " n"]:
        count = jnp.minimum(-(-mask.sum() // multiple) * multiple, mask.size)
        best = jnp.where(mask, jnp.inf, score)
        order = jnp.argsort(-best, stable=True)
        return jnp.zeros(mask.shape, bool).at[order].set(jnp.arange(mask.size) < count)

    return jax.tree.map(widen, scores, masks, multiples)


def complete(groups: Groups, masks: Masks) -> dict[str, dict[str, Mask]]:
    """Adds all-True masks for the groups without a mask."""
    return {
        component: {
            group.name: masks.get(component, {}).get(
                group.name, np.ones(group.size, bool)
            )
            for group in of_component.groups
        }
        for component, of_component in groups.items()
    }


def flatten(masks: Masks) -> Bool[Array, " channels"]:
    """The masks of all groups concatenated, bool [channels]."""
    return jnp.concatenate(jax.tree.leaves(masks))


def distances(
    mask: Bool[Array, " channels"], others: Bool[Array, "n channels"]
) -> Float[Array, " n"]:
    """Fraction of channels in which masks differ (normalised Hamming distance, paper).

    Args:
      mask: bool [channels]; others: bool [N, channels].

    Returns:
      float [N] in [0, 1].
    """
    return jnp.mean(mask != others, axis=-1)


def expand(groups: Groups, masks: Masks, params: Tree) -> trees.Masks:
    """Weight masks of channel masks: masks all that produces or consumes a cut channel.

    Kernel slice, bias, batch-norm scale and bias are all masked: a channel without only
    its kernel would still output a constant.

    Args:
      groups: {component: ChannelGroups}; masks: complete channel masks.
      params: weights, or their shapes.

    Returns:
      tree as `params`, bool.
    """

    def expand_component(
        of_component: ChannelGroups, masks: Mapping[str, Mask], params: Tree
    ) -> trees.Masks:
        claimed = claims(of_component, params)

        def expand_leaf(
            name: str, leaf: Array | jax.ShapeDtypeStruct
        ) -> Bool[Array, "..."]:
            mask = jnp.ones(leaf.shape, bool)
            for claim in claimed[name]:
                held = masks[claim.group]
                line = jnp.tile(held, leaf.shape[claim.axis] // len(held))
                others = [i for i in range(leaf.ndim) if i != claim.axis + leaf.ndim]
                mask &= jnp.expand_dims(line, others)
            return mask

        return trees.map_named(expand_leaf, params)

    return {
        component: expand_component(groups[component], masks[component], tree)
        for component, tree in params.items()
    }


def _any_along(
    leaf: Bool[np.ndarray, "..."], axis: int, size: int
) -> Bool[np.ndarray, " {size}"]:
    """Whether anything is True at each channel of an axis, bool [size]."""
    others = tuple(i for i in range(leaf.ndim) if i != leaf.ndim + axis)
    return np.any(leaf.any(others).reshape(-1, size), 0)


def used(
    groups: Groups, weight_masks: trees.Masks, stats: Tree
) -> dict[str, dict[str, Bool[np.ndarray, " _"]]]:
    """Channel masks of an unstructured ticket: True where a channel is used.

    A channel is unused if all its outgoing weights are masked or lead only to unused
    channels; removing it changes no output. A used channel without inputs stays, since
    its bias outputs a constant. A channel produced by a spectrally normalized kernel
    stays as long as it contributes to the norm.

    Args:
      groups: {component: ChannelGroups}; weight_masks: tree as `params`.
      stats: statistics, or their shapes.
    """
    return {
        component: _used_channels(groups[component], masks, stats[component])
        for component, masks in weight_masks.items()
    }


def _used_channels(
    groups: ChannelGroups, masks: trees.Masks, stats: Tree
) -> dict[str, Bool[np.ndarray, " _"]]:
    leaves = {name: np.asarray(x) for name, x in trees.named_leaves(masks).items()}
    claimed = claims(groups, masks)
    normalized = trees.named_leaves(stats.get("spectral", {}))
    before = {group.name: np.ones(group.size, bool) for group in groups.groups}
    while True:
        found = {group.name: np.zeros(group.size, bool) for group in groups.groups}
        for name, leaf in leaves.items():
            if not name.endswith("/kernel"):
                continue
            making = [claim for claim in claimed[name] if not claim.is_use]
            using = [claim for claim in claimed[name] if claim.is_use]
            for claim in making:
                if f"{name.removesuffix('/kernel')}/norm/u" in normalized:
                    found[claim.group] |= _any_along(leaf, -1, before[claim.group].size)
                # Weights that lead only to unused channels do not count.
                mask = before[claim.group]
                leaf = leaf & np.tile(mask, leaf.shape[-1] // mask.size)
            for claim in using:
                found[claim.group] |= _any_along(leaf, -2, before[claim.group].size)
        for name, mask in found.items():
            mask[before[name].argmax()] |= not mask.any()  # the floor: one per group
        if all((found[name] == before[name]).all() for name in before):
            return before
        before = found
