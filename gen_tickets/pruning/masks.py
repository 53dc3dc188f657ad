"""Masks: which weights a ticket keeps.

A mask tree has the structure of `params`, one boolean per weight, True = kept. Leaves
that may not be pruned (biases, batch norm, excluded names) are all True, never None.
Sparsity is the masked fraction of *all kernel weights of the whole model*, even if only
one component is pruned (paper, single-component pruning).

Any pytree of weights can be masked. Kernels are the leaves that Flax (linen or nnx)
names so; in a tree without such names, the leaves with at least two axes that are not
biases. Alternatively, `names` lists the prunable leaves, such as ("0/w", "1/w")
(`trees.names` shows the names of a tree's leaves).
"""

from collections.abc import Iterable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from gen_tickets import trees
from gen_tickets.errors import UserError
from gen_tickets.pruning import selection
from gen_tickets.trees import Masks, Tree


def apply(masks: Masks, tree: Tree) -> Tree:
    """Returns `tree` with exactly 0.0 where the mask is False."""
    # where, not a product: 0 * inf would be nan, and -w * 0 would be -0.0.
    return jax.tree.map(lambda mask, x: jnp.where(mask, x, 0.0), masks, tree)


def rewind(masks: Masks, params: Tree) -> Tree:
    """The weights a ticket starts from: kept ones bit for bit, the rest exactly 0.0.

    Given the weights of step k, it is the winning ticket; given reinitialized weights,
    it is the random ticket, the control (paper, Section 3.1).
    """
    return apply(masks, params)


def dense(params: Tree) -> Masks:
    """Returns the mask tree that keeps everything."""
    return jax.tree.map(lambda x: jnp.ones(x.shape, bool), params)


def _last_part(name: str) -> str:
    """The last part of a name; for an nnx Variable, "dense/kernel/value", "kernel"."""
    return name.removesuffix("/value").rpartition("/")[2]


def is_kernel(name: str) -> bool:
    """True for convolution, transposed convolution and dense kernels of Flax."""
    return _last_part(name) == "kernel"


def kernel_names(tree: Tree, names: Sequence[str] | None = None) -> tuple[str, ...]:
    """The leaves that are kernels: `names`, or if None, as in the module docstring.

    Raises:
      UserError: a name that the tree does not have, or no names and no kernels.
    """
    leaves = trees.named_leaves(tree)
    for name in names or ():
        if name not in leaves:
            raise UserError(f"names={name!r}", f"the tree has {', '.join(leaves)}")
    if names is not None:
        return tuple(names)
    kernels = tuple(name for name in leaves if is_kernel(name)) or tuple(
        name
        for name, leaf in leaves.items()
        if leaf.ndim > 1 and _last_part(name) not in ("bias", "b")
    )
    if not kernels:
        raise UserError(
            "names=None",
            f"none of {', '.join(leaves)} is called kernel or has two axes",
            "list the names of the prunable leaves",
        )
    return kernels


def prunable_names(
    params: Tree, components: Iterable[str] = (), exclude: Iterable[str] = ()
) -> tuple[str, ...]:
    """Names of the leaves that may be pruned: the kernels, named as in Flax.

    Args:
      params: weights, or their shapes.
      components: first parts of the names to prune; empty = all.
      exclude: shell patterns of names to leave dense.

    Raises:
      UserError: an unknown component, a pattern without matches, or nothing to prune.
    """
    for component in components:
        if component not in params:
            raise UserError(
                f"prune.components={component!r}", f"this task has {sorted(params)}"
            )
    kernels = kernel_names(params)
    for pattern in exclude:
        if not any(trees.matches(name, [pattern]) for name in kernels):
            raise UserError(
                f"prune.exclude={pattern!r}", f"fits none of {', '.join(kernels)}"
            )
    names = tuple(
        name
        for name in kernels
        if (not components or name.split("/")[0] in components)
        and not trees.matches(name, exclude)
    )
    if not names:
        raise UserError(
            f"prune.components={tuple(components)}, prune.exclude={tuple(exclude)}",
            "leave nothing to prune",
        )
    return names


def keep_count(total: int, fraction: float, round_number: int) -> int:
    """Number of weights left: round(total * (1 - fraction) ** round_number).

    Raises:
      UserError: the fraction is not within (0, 1), or the round is negative.
    """
    if not 0 < fraction < 1:
        raise UserError(
            f"fraction={fraction}",
            "is the share of weights that a round removes, above 0 and below 1",
            "give 0.2 for 20 %",
        )
    if round_number < 0:
        raise UserError(
            f"round_number={round_number}", "0 (dense) or a later round allowed"
        )
    return round(total * (1.0 - fraction) ** round_number)


def pools(names: Sequence[str], scope: str) -> list[tuple[str, ...]]:
    """The names ranked together: all, those of each component, or each one alone."""
    if scope == "global":
        return [tuple(names)]
    if scope == "layer":
        return [(name,) for name in names]
    components = dict.fromkeys(name.split("/")[0] for name in names)
    return [tuple(n for n in names if n.split("/")[0] == c) for c in components]


def select(
    scores: Tree,
    masks: Masks,
    names: Sequence[str],
    num_keep: Iterable[int | jax.Array],
    scope: str = "global",
) -> tuple[Masks, Int[Array, ""]]:
    """Keeps the most salient of the surviving weights.

    Args:
      scores: tree as `params`, higher = keep. Inside a compiled function, NaN ranks
        below every number.
      masks: the current masks; pruned weights stay pruned, so masks are nested.
      names: prunable leaves, from `prunable_names` or listed by hand.
      num_keep: weights to keep, one number per pool: [n] for "global". May be
        traced, so that all rounds share one compilation.
      scope: "global" ranks all weights together (paper), "component" those whose names
        have the same first part, "layer" those of each layer.

    Returns:
      (masks, floored): new masks with exactly num_keep True in each pool (or one per
      layer, if that is more), and the number of layers that keep a weight only because
      of this floor of one weight per layer.

    Raises:
      UserError: a name that the tree does not have, a NaN saliency, or not one
        `num_keep` per pool.
    """
    named_scores, named_masks = trees.named_leaves(scores), trees.named_leaves(masks)
    names = kernel_names(masks, names)
    _check_numbers({name: named_scores[name] for name in names})
    of_pools = pools(names, scope)
    ordered = [name for pool in of_pools for name in pool]
    counts = list(num_keep)
    if len(counts) != len(of_pools):
        raise UserError(
            f"num_keep={counts}",
            f"has {len(counts)} numbers",
            f"give one for each of the {len(of_pools)} pools of scope={scope!r}",
        )
    kept, floored = selection.keep_best(
        jnp.concatenate([named_scores[name].ravel() for name in ordered]),
        jnp.concatenate([named_masks[name].ravel() for name in ordered]),
        jnp.stack([jnp.asarray(count, jnp.int32) for count in counts]),
        [[named_scores[name].size for name in pool] for pool in of_pools],
    )
    ends = np.cumsum([named_scores[name].size for name in ordered])
    selected = {
        name: part.reshape(named_scores[name].shape)
        for name, part in zip(ordered, jnp.split(kept, ends[:-1]), strict=True)
    }
    return trees.like(masks, {**named_masks, **selected}), floored


def shuffle(masks: Tree, key: jax.Array) -> Tree:
    """Moves the kept weights of every leaf to random positions; their number is kept.

    Args:
      masks: of one member; all-True leaves, such as unprunable ones, do not change.
      key: leaf i uses fold_in(key, i).
    """
    leaves, structure = jax.tree.flatten(masks)
    shuffled = [
        jax.random.permutation(jax.random.fold_in(key, i), leaf.ravel())
        for i, leaf in enumerate(leaves)
    ]
    reshaped = map(jnp.reshape, shuffled, [leaf.shape for leaf in leaves])
    return jax.tree.unflatten(structure, list(reshaped))


def _check_numbers(scores: Mapping[str, jax.Array]) -> None:
    """Raises UserError for a NaN, if the values are concrete."""
    for name, values in scores.items():
        if not isinstance(values, jax.core.Tracer) and jnp.isnan(values).any():
            raise UserError(
                name,
                "has saliencies that are nan",
                "check whether its training diverged",
            )


def layer_counts(
    masks: Masks, names: Sequence[str] | None = None
) -> dict[str, tuple[int, int]]:
    """{layer: (weights, kept weights)} of every kernel of the network.

    Args:
      masks: mask tree of one member.
      names: the leaves to count; None: all kernels.

    Raises:
      UserError: a name that the tree does not have, or no names and no kernels.
    """
    leaves = trees.named_leaves(masks)
    return {
        name: (leaves[name].size, int(leaves[name].sum()))
        for name in kernel_names(masks, names)
    }


def sparsity(masks: Masks, names: Sequence[str] | None = None) -> float:
    """Masked fraction of all kernel weights of the network, in [0, 1).

    Args:
      masks, names: as in `layer_counts`.
    """
    counts = layer_counts(masks, names).values()
    return 1.0 - sum(kept for _, kept in counts) / sum(total for total, _ in counts)


def component_sparsity(masks: Masks) -> dict[str, float]:
    """{component: masked fraction of its kernel weights}."""
    return {component: sparsity({component: masks[component]}) for component in masks}
