"""Pytrees with named leaves, such as "encoder/conv_0/kernel".

A name is the path from the root, its parts joined with "/"; positions in lists are
indices. In `params`, `stats` and `masks` of a task, the first part is the component.
A key may itself contain "/", as in Haiku's "mlp/~/linear_0"; it is escaped as "\\/",
and a backslash is doubled, only if two leaves would otherwise have the same name.
"""

import fnmatch
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import jax
import numpy as np
from jaxtyping import Array, Bool, PyTree

Tree: TypeAlias = PyTree  # nested dicts, lists, tuples, dataclasses of arrays
Masks: TypeAlias = PyTree[Bool[Array | np.ndarray, "..."]]  # of weights, True = kept


def paths(tree: Tree) -> list[tuple[str | int, ...]]:
    """The parts of every leaf's name; integers are positions in a list or tuple."""

    def part(key: Any) -> str | int:
        if isinstance(key, jax.tree_util.SequenceKey):
            return key.idx
        return jax.tree_util.keystr((key,), simple=True)

    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return [tuple(part(key) for key in path) for path, _ in leaves]


def names(tree: Tree) -> list[str]:
    """The name of every leaf, all different, in the order of `jax.tree.leaves`."""
    parts = [[str(part) for part in path] for path in paths(tree)]
    joined = ["/".join(path) for path in parts]
    if len(set(joined)) == len(joined):
        return joined
    return ["/".join(map(_escaped, path)) for path in parts]


def _escaped(part: str) -> str:
    return part.replace("\\", "\\\\").replace("/", "\\/")


def named_leaves(tree: Tree) -> dict[str, Any]:
    """Returns {name: leaf} in the order of `jax.tree.leaves`."""
    return dict(zip(names(tree), jax.tree.leaves(tree), strict=True))


def map_named(function: Callable[..., Any], tree: Tree, *rest: Tree) -> Tree:
    """Maps function(name, leaf, *leaves of rest) over a tree."""
    given = iter(names(tree))
    return jax.tree.map(lambda *leaves: function(next(given), *leaves), tree, *rest)


def like(tree: Tree, leaves: Mapping[str, Any]) -> Tree:
    """Rebuilds a tree of the structure of `tree` from {name: leaf}.

    Raises:
      KeyError: a name of `tree` is missing in `leaves`.
    """
    return map_named(lambda name, _: leaves[name], tree)


def matches(name: str, patterns: Iterable[str]) -> bool:
    """True if the name matches one of the shell patterns (`*` also matches "/")."""
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def num_weights(tree: Tree) -> int:
    """Number of scalars in all leaves."""
    return sum(leaf.size for leaf in jax.tree.leaves(tree))
