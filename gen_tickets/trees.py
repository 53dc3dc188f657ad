"""Pytrees whose leaves are known by name: "encoder/conv_0/kernel".

A name is the path from the root, parts joined with "/". The first part of `params`,
`stats` and `masks` is the component.
"""

import fnmatch

import jax


def _name(path) -> str:
    return "/".join(
        str(getattr(part, "key", getattr(part, "name", getattr(part, "idx", part))))
        for part in path
    )


def named_leaves(tree) -> dict:
    """Returns {name: leaf} in the order of `jax.tree.leaves`."""
    return {_name(path): x for path, x in jax.tree_util.tree_leaves_with_path(tree)}


def map_named(function, tree, *rest):
    """Maps function(name, leaf, *leaves of rest) over a tree."""
    return jax.tree_util.tree_map_with_path(
        lambda path, *leaves: function(_name(path), *leaves), tree, *rest
    )


def like(tree, leaves: dict):
    """Rebuilds a tree of the structure of `tree` from {name: leaf}.

    Raises:
      KeyError: a name of `tree` is missing in `leaves`.
    """
    return map_named(lambda name, _: leaves[name], tree)


def matches(name: str, patterns) -> bool:
    """True if the name fits one of the shell patterns (`*` also crosses "/")."""
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def num_weights(tree) -> int:
    """Number of scalars in all leaves."""
    return sum(leaf.size for leaf in jax.tree.leaves(tree))
